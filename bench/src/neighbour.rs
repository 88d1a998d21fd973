//! Programs that we are measured beside: found, or installed from Debian's packages where that is possible.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::bail;

/// Where a program may be that is not on `PATH`: servers are not on everybody's.
const MORE_PLACES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];

/// The program of this name, which is in this package.
pub fn find_or_install(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let found = || {
        let path = env::var_os("PATH").unwrap_or_default();
        let places = env::split_paths(&path).chain(MORE_PLACES.map(PathBuf::from));
        places.map(|place| place.join(name)).find(|program| program.is_file())
    };
    if let Some(program) = found() {
        return Ok(program);
    }
    if rustix::process::geteuid().is_root() {
        eprintln!("installing {name}: apt-get install {package}");
        let install = || {
            let mut apt = Command::new("apt-get");
            apt.args(["install", "--yes", "--no-install-recommends", package]);
            apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null()).status()
        };
        if !install()?.success() {
            Command::new("apt-get").arg("update").stdout(Stdio::null()).status()?;
            install()?;
        }
    }
    let Some(program) = found() else { bail!("{name} is the neighbour: install it (apt-get install {package})") };
    Ok(program)
}
