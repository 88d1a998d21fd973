//! `[docs]`: the documentation under `/docs`.

use std::path::Path;

use tollgate_manage::{DocsModel, DocsOptions};

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
    let model = docs.optional("model")?;
    let account = docs.text("account")?;
    if model.is_some() && account.is_empty() {
        return Err(docs.invalid("account", "is empty: whose usage are answers that docs.model writes?".to_owned()));
    }
    let model = model.map(|model| DocsModel { model, account: account.to_owned() });
    Ok(DocsOptions { directory, list_models: docs.boolean("list_models")?, model })
}
