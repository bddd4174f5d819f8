//! The folder is the architecture: who may depend on whom, and what a pure crate may not do.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What each package may depend on, of this workspace and of others; nothing points back.
const ALLOWED: &[(&str, &[&str])] = &[
    ("proto", &["base64", "bytes", "httparse"]),
    ("dccp", &["bytes", "crc-fast", "hmac", "sha2"]),
    ("sctp", &["bytes", "crc-fast", "sha2"]),
    ("capture", &["proto"]),
    ("transport", &["bytes", "dccp", "proto", "sctp"]),
    (
        "socket",
        &["bytes", "libc", "quinn-udp", "socket2", "transport"],
    ),
    ("driver-std", &["bytes", "socket", "transport"]),
    ("driver-mio", &["bytes", "mio", "socket", "transport"]),
];

/// Dependencies for other platforms are of no concern, and may not be downloaded.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(vec!["--filter-platform".to_owned(), PLATFORM.to_owned()])
        .exec()
        .expect("cargo metadata works in a checkout that was built")
}

#[test]
fn dependencies_point_one_way_only() {
    let metadata = metadata();
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut checked = 0;
    for package in metadata.workspace_packages() {
        let Some(allowed) = allowed.get(package.name.as_str()) else {
            continue;
        };
        checked += 1;
        for dependency in &package.dependencies {
            if dependency.kind == DependencyKind::Normal {
                assert!(
                    allowed.contains(&dependency.name.as_str()),
                    "{} must not depend on {}",
                    package.name,
                    dependency.name
                );
            }
        }
    }
    assert_eq!(checked, ALLOWED.len(), "a package of the list is missing");
}

#[test]
fn no_package_depends_on_the_cli_or_on_test_support() {
    for package in metadata().workspace_packages() {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            assert_ne!(name, "cli", "{}", package.name);
            if name == "tests" {
                let fuzz = package.name.as_str() == "fuzz";
                let test = dependency.kind == DependencyKind::Development;
                assert!(fuzz || test, "{} builds on test support", package.name);
            }
        }
    }
}

#[test]
fn every_dependency_builds_with_the_stated_rust_version() {
    let metadata = metadata();
    let ours = metadata
        .workspace_packages()
        .iter()
        .find_map(|package| package.rust_version.clone())
        .expect("the workspace states its rust-version");
    for package in &metadata.packages {
        if let Some(theirs) = &package.rust_version {
            assert!(
                *theirs <= ours,
                "{} {} needs Rust {theirs}, and {ours} is promised",
                package.name,
                package.version
            );
        }
    }
}

#[test]
fn every_package_inherits_the_workspace_lints_and_its_version() {
    for package in metadata().workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{}",
            package.name
        );
        assert_eq!(
            package.license.as_deref(),
            Some("MIT OR Apache-2.0"),
            "{}",
            package.name
        );
    }
}

/// `.cargo/config.toml` lets rustc take unstable flags, which `cargo fuzz` needs; nothing else may
/// come to need them.
#[test]
fn no_source_asks_for_unstable_features() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut folders = vec![std::path::PathBuf::from(root)];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                read += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                let asks = text
                    .lines()
                    .any(|line| line.trim_start().starts_with("#![feature"));
                assert!(!asks, "{} asks for an unstable feature", path.display());
            }
        }
    }
    assert!(read > 20, "only {read} sources were found");
}
