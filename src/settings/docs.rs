//! `[docs]`: the documentation under `/docs`.

use std::path::Path;

use tollgate_manage::DocsOptions;

use super::{Section, SettingsError};

pub(super) fn options(root: &Section<'_>, base: &Path) -> Result<DocsOptions, SettingsError> {
    let docs = root.section("docs")?;
    let directory = match docs.text("directory")? {
        "" => None,
        path => {
            let path = base.join(path);
            Some(std::path::absolute(&path).unwrap_or(path))
        }
    };
    Ok(DocsOptions { directory, list_models: docs.boolean("list_models")? })
}
