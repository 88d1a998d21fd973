//! The house is as ARCHITECTURE.md says: its table of crates is what cargo knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use tollgate_tests::Value;

/// What stands beside the house: tools, tests and measurements.
const BESIDE: [&str; 4] = ["xtask", "tollgate-tests", "tollgate-canary", "tollgate-bench"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Each crate of the workspace, its path and what it imports of ours (not for its tests).
fn crates() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    packages
        .iter()
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let path = manifest.parent().unwrap().strip_prefix(root()).unwrap().display().to_string();
            let imports = package["dependencies"].as_array().unwrap().iter();
            let imports = imports
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| dependency["name"].as_str().unwrap())
                .filter(|name| ours.contains(name))
                .map(str::to_owned);
            let path = if path.is_empty() { ".".to_owned() } else { path };
            (package["name"].as_str().unwrap().to_owned(), (path, imports.collect()))
        })
        .collect()
}

/// The words in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_table_of_crates_is_what_cargo_knows() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split("\n## Crates\n").nth(1).expect("a section Crates");
    let section = section.split("\n## ").next().unwrap();
    let table: BTreeMap<_, _> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let imports = if cells[3] == "—" { BTreeSet::new() } else { quoted(cells[3]).into_iter().collect() };
            (quoted(cells[1]).remove(0), (quoted(cells[2]).remove(0), imports))
        })
        .collect();
    let mut known = crates();
    known.retain(|name, _| !BESIDE.contains(&name.as_str()));
    assert_eq!(table, known);
}

#[test]
fn the_data_plane_and_the_management_plane_know_nothing_of_each_other() {
    let crates = crates();
    let imports = |name: &str| crates.get(name).map(|(_, imports)| imports.clone()).expect("a crate");
    assert!(!imports("tollgate-gateway").contains("tollgate-manage"));
    assert!(!imports("tollgate-manage").contains("tollgate-gateway"));
    assert!(imports("tollgate-wire").is_empty() && imports("tollgate-core").is_empty());
    let binary_is_imported = crates.values().any(|(_, imports)| imports.contains("tollgate"));
    assert!(!binary_is_imported);
}

#[test]
fn what_may_be_linked_in_is_held_by_cargo_deny() {
    let rules = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    for (name, wrapper) in [("sqlx", "tollgate-store"), ("axum", "tollgate-manage"), ("askama", "tollgate-manage")] {
        let rule = rules.lines().find(|line| line.contains(&format!("crate = \"{name}\""))).expect("a rule");
        assert!(rule.contains(wrapper), "{rule}");
    }
}
