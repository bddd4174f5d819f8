//! Which requirement of the RFCs is held by which test: `docs/dccp-requirements.md` and
//! `docs/sctp-requirements.md` are each made from a list of requirements and from the names of all
//! tests, and have to be up to date.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the document anew instead of comparing it.
const UPDATE: &str = "UPDATE_REQUIREMENTS";

/// A stack, the list of what it is held to, and the document that is made of it.
#[derive(Debug)]
struct Stack {
    name: &'static str,
    list: &'static str,
    document: &'static str,
}

const STACKS: [Stack; 2] = [
    Stack {
        name: "DCCP",
        list: "tests/data/dccp-requirements.txt",
        document: "docs/dccp-requirements.md",
    },
    Stack {
        name: "SCTP",
        list: "tests/data/sctp-requirements.txt",
        document: "docs/sctp-requirements.md",
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A line of the list.
#[derive(Debug)]
struct Requirement {
    id: String,
    /// Of the RFC.
    rfc: u32,
    /// As it is written, without the sign.
    section: String,
    text: String,
    /// Why no test claims it.
    reason: Option<String>,
}

impl Requirement {
    fn parse(line: &str) -> Option<Self> {
        let (id, rest) = line.split_once(' ')?;
        let rest = rest.trim_start().strip_prefix("RFC ")?;
        let (rfc, rest) = rest.split_once(" §")?;
        let (section, rest) = rest.split_once(' ')?;
        let (text, reason) = match rest.split_once(" -- ") {
            Some((text, reason)) => (text, Some(reason.trim().to_owned())),
            None => (rest, None),
        };
        Some(Self {
            id: id.to_owned(),
            rfc: rfc.parse().ok()?,
            section: section.to_owned(),
            text: text.trim().to_owned(),
            reason,
        })
    }

    /// Sections by number, appendices last.
    fn order(&self) -> (u32, Vec<u32>, String, u32) {
        let numbers = self.section.split('.');
        let numbers = numbers.map(|number| number.parse().unwrap_or(u32::MAX));
        let (name, number) = self.id.split_at(2);
        (
            self.rfc,
            numbers.collect(),
            name.to_owned(),
            number.parse().unwrap_or(0),
        )
    }
}

fn requirements(stack: &Stack) -> Vec<Requirement> {
    let list = fs::read_to_string(root().join(stack.list)).expect("the list is there");
    let lines = list.lines().filter(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '['])
    });
    lines
        .map(|line| Requirement::parse(line).unwrap_or_else(|| panic!("{}: {line}", stack.list)))
        .collect()
}

/// The requirements that a test of that name claims: it begins with their ids.
fn claims(name: &str) -> impl Iterator<Item = String> + '_ {
    name.split('_')
        .take_while(|word| {
            let (letters, digits) = word.split_at(word.len().min(2));
            letters.bytes().all(|byte| byte.is_ascii_lowercase())
                && !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
        .map(str::to_ascii_uppercase)
}

/// The name of the function that is defined in `line`.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let name = line.strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

/// Every test by the ids that its name begins with: its name and where it is.
fn tests() -> BTreeMap<String, Vec<(String, String)>> {
    let mut found = BTreeMap::<String, Vec<(String, String)>>::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("a source can be read");
                let place = path.strip_prefix(root()).expect("it is below");
                for test in text.lines().filter_map(function) {
                    for id in claims(test) {
                        let entry = (test.to_owned(), place.display().to_string());
                        found.entry(id).or_default().push(entry);
                    }
                }
            }
        }
    }
    for tests in found.values_mut() {
        tests.sort();
        tests.dedup();
    }
    found
}

fn document(stack: &Stack) -> String {
    let (mut requirements, tests) = (requirements(stack), tests());
    requirements.sort_by_key(Requirement::order);
    let claimed = requirements
        .iter()
        .filter(|requirement| tests.contains_key(&requirement.id))
        .count();
    let mut text = format!(
        "# What the {} stack is held to\n\n\
         Made by `tests/tests/requirements.rs` from `{}` and the names of the tests; do not edit.\n\
         A test claims a requirement by beginning its name with the id.\n\n\
         {claimed} of {} requirements are held by a test; the others say why not.\n",
        stack.name,
        stack.list,
        requirements.len()
    );
    let (mut rfc, mut section) = (0, String::new());
    for requirement in &requirements {
        if requirement.rfc != rfc {
            rfc = requirement.rfc;
            section.clear();
            let _ = write!(text, "\n## RFC {rfc}\n");
        }
        if requirement.section != section {
            section.clone_from(&requirement.section);
            let _ = write!(text, "\n### RFC {rfc} §{section}\n\n");
        }
        let _ = writeln!(text, "- **{}** {}", requirement.id, requirement.text);
        for (test, place) in tests.get(&requirement.id).into_iter().flatten() {
            let _ = writeln!(text, "  - `{test}` ({place})");
        }
        if let Some(reason) = &requirement.reason {
            let _ = writeln!(text, "  - not claimed: {reason}");
        }
    }
    text
}

#[test]
fn every_requirement_is_tested_or_says_why_not() {
    let tests = tests();
    for stack in &STACKS {
        let mut wrong = String::new();
        for requirement in requirements(stack) {
            let problem = match (tests.contains_key(&requirement.id), &requirement.reason) {
                (false, None) => "has no test and no reason",
                (true, Some(_)) => "has a test, and a reason for having none",
                (true, None) | (false, Some(_)) => continue,
            };
            let _ = writeln!(wrong, "{} {problem}: {}", requirement.id, requirement.text);
        }
        assert!(wrong.is_empty(), "{}:\n{wrong}", stack.list);
    }
}

#[test]
fn ids_are_unique_and_no_test_claims_one_that_is_not_there() {
    let tests = tests();
    for stack in &STACKS {
        let requirements = requirements(stack);
        let mut ids: Vec<&str> = requirements.iter().map(|one| one.id.as_str()).collect();
        ids.sort_unstable();
        let before = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), before, "an id is there twice");
        assert!(before > 100, "the list was not read");
        let letters: Vec<&str> = ids.iter().map(|id| &id[..2]).collect();
        for (id, tests) in &tests {
            let ours = letters.contains(&&id[..2]);
            assert!(!ours || ids.contains(&id.as_str()), "{id}: {tests:?}");
        }
    }
}

#[test]
fn the_documents_are_up_to_date() {
    for stack in &STACKS {
        let path = root().join(stack.document);
        let text = document(stack);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, text).expect("the document can be written");
            continue;
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == text,
            "{} is out of date: {UPDATE}=1 cargo test -p tests --test requirements",
            stack.document
        );
    }
}
