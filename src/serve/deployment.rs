//! What a deployment has at rest: its data directory, master key and store, opened in this order.
//!
//! A master key is made only where there is no store yet: a store without its key is lost keys, not a first start.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use tollgate_core::{World, seal::MasterKey};
use tollgate_manage::services::{ModelInput, ServedByInput, UpstreamInput, catalog_apply};
use tollgate_store::{Store, StoreOptions, accounts::Seeded};

use crate::settings::{MasterKeySetting, Settings};

/// A deployment, opened.
pub struct Deployment {
    /// Its settings.
    pub settings: Settings,
    /// Time and entropy.
    pub world: World,
    /// Its master key.
    pub master_key: MasterKey,
    /// Its store, at its newest schema.
    pub store: Store,
    /// Its operator and first account.
    pub seeded: Seeded,
}

impl Deployment {
    /// Opens it; makes what a first start makes.
    pub async fn open(settings: Settings, world: World) -> anyhow::Result<Self> {
        directory(&settings.data)?;
        let master_key = master_key(&settings, &world)?;
        let store = open_store(&settings, &world).await?;
        let checked = store.master_key_check(master_key.fingerprint()).await;
        checked.context(
            "this store was made with another master key: keys.master_key must name that one (bring it back from a \
             copy), or store.url another store",
        )?;
        let seeded = store.seed().await.context("the store cannot be prepared")?;
        Ok(Self { settings, world, master_key, store, seeded })
    }

    /// Brings the settings' upstreams and models to the store.
    pub async fn apply_catalog(&self) -> anyhow::Result<()> {
        let upstreams = self.settings.upstreams.iter().map(|upstream| UpstreamInput {
            name: upstream.name.clone(),
            base_url: upstream.base_url.clone(),
            credential: upstream.credential.clone(),
            engine: upstream.engine,
            on_client_gone: upstream.on_client_gone,
            enabled: upstream.enabled,
        });
        let models = self.settings.models.iter().map(|model| ModelInput {
            name: model.name.clone(),
            title: model.title.clone(),
            kind: model.kind,
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            price: model.price,
            served_by: model
                .served_by
                .iter()
                .map(|(upstream, name, weight)| ServedByInput {
                    upstream: upstream.clone(),
                    model: Some(name.clone()),
                    weight: *weight,
                })
                .collect(),
        });
        let (upstreams, models): (Vec<_>, Vec<_>) = (upstreams.collect(), models.collect());
        if upstreams.is_empty() && models.is_empty() {
            return Ok(());
        }
        catalog_apply(&self.store, &self.master_key, &self.world, upstreams, models)
            .await
            .context("[[upstreams]] and [[models]] of the settings cannot be applied")
    }
}

/// Opens the store, and says what to do where that fails.
pub async fn open_store(settings: &Settings, world: &World) -> anyhow::Result<Store> {
    let options = StoreOptions {
        url: settings.store_url.expose().to_owned(),
        connections: settings.store_connections,
        wait: settings.store_wait,
        lease: settings.lease,
        key_prefix: settings.prefix,
    };
    Store::open(options, world.clone()).await.with_context(|| match settings.sqlite_path() {
        Some(path) => format!("the store {} cannot be opened", path.display()),
        None => "the store cannot be opened: does PostgreSQL run, and is store.url right?".to_owned(),
    })
}

/// Makes a directory for our own user alone, with its parents; one that is there stays as it is.
fn directory(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("the data directory {} cannot be made", path.display()))
}

fn master_key(settings: &Settings, world: &World) -> anyhow::Result<MasterKey> {
    let path = match &settings.master_key {
        MasterKeySetting::Present(key) => return Ok(key.clone()),
        MasterKeySetting::MissingVariable(name) => bail!("keys.master_key: the variable {name} is not set"),
        MasterKeySetting::MissingFile(path) => path,
    };
    let Some(store) = settings.sqlite_path() else {
        bail!(
            "keys.master_key: {} is not there. On PostgreSQL all nodes need the same master key, so none is made: \
             write 64 hexadecimal digits into that file, e.g. with `openssl rand -hex 32`",
            path.display()
        );
    };
    if store.exists() {
        bail!(
            "keys.master_key: {} is not there, but the store {} is. It was made with a master key that no other can \
             replace: bring that file back from a copy",
            path.display(),
            store.display()
        );
    }
    match make_master_key(path, world) {
        Ok(key) => Ok(key),
        // Another process of ours was quicker: its key is the one.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            read_master_key(path).with_context(|| format!("{} holds no master key", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("the master key {} cannot be written", path.display())),
    }
}

/// A new master key, on disk before anybody uses it.
fn make_master_key(path: &Path, world: &World) -> std::io::Result<MasterKey> {
    let key = MasterKey::generate(world);
    let digits: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{digits}")?;
    file.sync_all()?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(key)
}

fn read_master_key(path: &Path) -> Option<MasterKey> {
    crate::settings::parse_master_key(&fs::read_to_string(path).ok()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::settings::{Arguments, Environment};

    fn settings(directory: &Path) -> Settings {
        let arguments = Arguments { data: Some(directory.join("data")), ..Arguments::default() };
        Settings::load_without_file(&arguments, &Environment::default()).unwrap()
    }

    #[test]
    fn a_first_start_makes_a_master_key_for_our_user_alone_and_later_ones_read_it() {
        let home = tempfile::tempdir().unwrap();
        let first = settings(home.path());
        directory(&first.data).unwrap();
        let made = master_key(&first, &crate::world::real()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&first.data), 0o700);
        assert_eq!(mode(&first.data.join("master.key")), 0o600);
        let again = master_key(&settings(home.path()), &crate::world::real()).unwrap();
        assert_eq!(made.expose(), again.expose());
    }

    #[test]
    fn a_store_without_its_master_key_is_never_given_a_new_one() {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(home.path());
        directory(&settings.data).unwrap();
        fs::write(settings.sqlite_path().unwrap(), "").unwrap();
        let error = master_key(&settings, &crate::world::real()).unwrap_err().to_string();
        assert!(error.contains("bring that file back"), "{error}");
        assert!(!settings.data.join("master.key").exists());
    }
}
