//! The inputs of the fuzz targets, without a fuzzer: seeds and regressions; and what
//! `.cargo/config.toml` opens for the sake of fuzzing.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::fuzzing::{TARGETS, Target};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace holds this crate")
}

/// The files in a folder, in order of their names; none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.is_file() && !path.ends_with(".gitkeep"))
        .collect();
    files.sort();
    files
}

fn replay(name: &str, target: Target) -> usize {
    let fuzz = root().join("fuzz");
    let seeds = files(&fuzz.join("corpus").join(name));
    let regressions = files(&fuzz.join("regressions").join(name));
    let inputs: Vec<&PathBuf> = seeds.iter().chain(&regressions).collect();
    for path in &inputs {
        let input = fs::read(path).expect("the file can be read");
        let replayed = catch_unwind(AssertUnwindSafe(|| target(&input)));
        assert!(replayed.is_ok(), "{} fails", path.display());
    }
    inputs.len()
}

#[test]
fn seeds_and_regressions_break_no_law() {
    for (name, target) in TARGETS {
        assert!(replay(name, target) > 0, "{name} has no seeds");
    }
}

#[test]
fn every_fuzz_target_is_replayed() {
    let names = |folder: &str, ends: &str| -> BTreeSet<String> {
        let found = fs::read_dir(root().join("fuzz").join(folder)).unwrap();
        let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter_map(|name| Some(name.strip_suffix(ends)?.to_owned()))
            .collect()
    };
    let replayed = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets", ".rs"), replayed);
    assert_eq!(names("regressions", ""), replayed);
}

/// The crates that `.cargo/config.toml` lets use unstable flags on a stable compiler.
fn unlocked() -> BTreeSet<String> {
    let config = fs::read_to_string(root().join(".cargo/config.toml")).expect("it is there");
    let line = config
        .lines()
        .find_map(|line| line.strip_prefix("RUSTC_BOOTSTRAP = "))
        .expect("cargo fuzz needs it");
    let names = line.trim_matches('"').split(',');
    names.map(str::to_owned).collect()
}

#[test]
fn only_the_crates_of_the_fuzz_targets_may_use_unstable_flags() {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--package", "fuzz", "--offline"])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--format", "{lib}"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{stderr}");
    let mut needed: BTreeSet<String> = String::from_utf8(tree.stdout)
        .unwrap()
        .lines()
        .map(|name| name.trim_end_matches(" (*)").replace('-', "_"))
        .filter(|name| !name.is_empty())
        .collect();
    needed.extend(TARGETS.iter().map(|(name, _)| (*name).to_owned()));
    needed.insert("___".to_owned());
    assert_eq!(unlocked(), needed, "RUSTC_BOOTSTRAP in .cargo/config.toml");
}
