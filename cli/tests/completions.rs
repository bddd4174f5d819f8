//! `cli completions`: what shells make of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn completions(shell: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cli"))
        .args(["completions", shell])
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(0), "{shell}");
    assert!(output.stderr.is_empty(), "{shell}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// Runs a shell on a script; `None` where it is not installed.
fn run(shell: &str, arguments: &[&str], script: &Path) -> Option<String> {
    let output = Command::new(shell)
        .args(arguments)
        .arg(script)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.is_empty(),
        "{shell}: {told}"
    );
    Some(String::from_utf8(output.stdout).expect("it is text"))
}

/// What bash offers for the last of `words`.
fn bash_offers(words: &[&str]) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("complete.bash");
    let typed: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let [.., before, last] = words else {
        panic!("a command and a word are needed")
    };
    let script = format!(
        "{}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_cli cli '{last}' '{before}'\nprintf '%s\\n' \
         \"${{COMPREPLY[@]}}\"\n",
        completions("bash"),
        typed.join(" "),
        words.len() - 1,
    );
    fs::write(&file, script).expect("there is room");
    let offered = run("bash", &["--norc"], &file)?;
    Some(offered.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_commands_options_and_values() {
    let Some(options) = bash_offers(&["cli", "get", "--pro"]) else {
        eprintln!("not checked: bash is not installed");
        return;
    };
    assert_eq!(options, ["--proto"]);
    let offers = |words: &[&str]| bash_offers(words).expect("it is installed");
    assert_eq!(offers(&["cli", "get", "--proto", ""]), ["sctp", "dccp"]);
    assert_eq!(offers(&["cli", "demo", "--driver", "m"]), ["mio"]);
    assert_eq!(offers(&["cli", "de"]), ["demo"]);
    assert_eq!(offers(&["cli", "completions", "pow"]), ["powershell"]);
}

#[test]
fn every_shell_gets_every_command() {
    for shell in SHELLS {
        let script = completions(shell);
        for command in ["serve", "get", "demo", "man", "completions"] {
            assert!(script.contains(command), "{shell} {command}");
        }
        assert!(script.contains("pcap-as-sent"), "{shell}");
    }
}

#[test]
fn zsh_and_fish_understand_theirs() {
    let folder = tempfile::tempdir().expect("there is room");
    for (shell, no_execution) in [("zsh", "-n"), ("fish", "-n")] {
        let file = folder.path().join(shell);
        fs::write(&file, completions(shell)).expect("there is room");
        if run(shell, &[no_execution], &file).is_none() {
            eprintln!("not checked: {shell} is not installed (apt-get install {shell})");
        }
    }
}

#[test]
fn an_unknown_shell_is_told_which_are_known() {
    let output = Command::new(env!("CARGO_BIN_EXE_cli"))
        .args(["completions", "tcsh"])
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(SHELLS.iter().all(|shell| told.contains(shell)), "{told}");
}
