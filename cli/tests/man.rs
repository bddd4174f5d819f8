//! `cli man`: what it writes, and what man(1) makes of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn write_manual(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cli"));
    command.arg("man").arg(folder);
    command
}

/// The commands that the help names.
fn commands() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_cli"))
        .arg("--help")
        .output()
        .expect("the program runs");
    let help = String::from_utf8(output.stdout).expect("it is text");
    let (_, list) = help.split_once("Commands:\n").expect("it lists commands");
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

/// What man(1) shows of a page, without a warning; `None` where it is not installed.
fn rendered(page: &Path) -> Option<String> {
    let shown = Command::new("man")
        .args(["--warnings", "-l"])
        .arg(page)
        .env("MANWIDTH", "100")
        .env("MANROFFOPT", "-c")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&shown.stderr);
    assert!(
        shown.status.success() && told.is_empty(),
        "{page:?}: {told}"
    );
    let text = String::from_utf8(shown.stdout).expect("it is text");
    // What is bold is typed over itself on old terminals.
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '\u{8}' => drop(plain.pop()),
            '\u{2010}' => plain.push('-'),
            c => plain.push(c),
        }
    }
    Some(plain)
}

#[test]
fn every_command_has_a_page_that_man_shows() {
    let folder = tempfile::tempdir().expect("there is room");
    let manual = folder.path().join("a new/man1");
    let output = write_manual(&manual).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());

    let commands = commands();
    assert!(
        commands.iter().any(|command| command == "get"),
        "{commands:?}"
    );
    let mut expected: Vec<String> = commands
        .iter()
        .map(|command| format!("cli-{command}.1"))
        .chain(["cli.1".to_owned()])
        .collect();
    expected.sort();
    let entries = fs::read_dir(&manual).expect("it was made");
    let mut pages: Vec<String> = entries
        .map(|entry| entry.expect("it is read").file_name())
        .map(|name| name.into_string().expect("it is text"))
        .collect();
    pages.sort();
    assert_eq!(pages, expected);

    for name in &pages {
        let page = manual.join(name);
        let roff = fs::read_to_string(&page).expect("it is text");
        assert!(roff.contains(".TH "), "{name}");
        for section in ["EXIT STATUS", "ENVIRONMENT", "SEE ALSO"] {
            assert!(
                roff.contains(&format!(".SH {section}\n")),
                "{name} {section}"
            );
        }
        let Some(text) = rendered(&page) else {
            eprintln!("not checked: man is not installed (apt-get install man-db)");
            return;
        };
        let status = if name == "cli-probe.1" {
            "       1      none of it does"
        } else {
            "       100    the protocol is not"
        };
        for words in ["NAME", "SYNOPSIS", "EXAMPLES", status] {
            assert!(text.contains(words), "{name} {words}: {text}");
        }
    }
    let get = rendered(&manual.join("cli-get.1")).expect("it is installed");
    for words in [
        "--proto <PROTO>",
        "cli get --proto dccp -C http://[2001:db8::1]:8080/",
    ] {
        assert!(get.contains(words), "{words}: {get}");
    }
}

#[test]
fn a_page_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("there is room");
    let output = write_manual(&file).output().expect("the program runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(23), "{told}");
    assert!(
        told.starts_with("cli man: cannot write ") && told.lines().count() == 1,
        "{told}"
    );
}
