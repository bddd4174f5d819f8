//! Stdout, terminals, pipes and signals.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::{BOTH, Place, Server, cli, ends_with, names, noise, stderr, stdout};

#[test]
fn a_body_on_stdout_is_clean() {
    for proto in BOTH {
        let server = Server::start(proto);
        let content = noise(100_000);
        server.put("x", &content);
        let folder = tempfile::tempdir().unwrap();
        for arguments in [&["-o", "-"][..], &["-o", "-", "-v"], &["-o", "/dev/stdout"]] {
            let output = ends_with(0, &mut server.place.get(folder.path(), "/x", arguments));
            assert!(output.stdout == content, "{arguments:?}");
            // There is no progress bar where nobody looks.
            assert!(!output.stderr.contains(&b'\r') || arguments.contains(&"-v"));
            assert!(!output.stderr.contains(&0x1B));
        }
        assert!(names(folder.path()).is_empty());
    }
}

/// Runs a client on a terminal; `None` if there is no `script(1)` to make one. Stdout and stderr
/// come together.
pub(crate) fn on_a_terminal(
    folder: &Path,
    place: &Place,
    arguments: &[&str],
) -> Option<(i32, Vec<u8>)> {
    let get = place.get(folder, "/x", arguments);
    let words: Vec<&str> = get.get_args().map(|word| word.to_str().unwrap()).collect();
    let line = format!(
        "stty cols 60 && {} {}",
        env!("CARGO_BIN_EXE_cli"),
        words.join(" ")
    );
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some((output.status.code().unwrap(), output.stdout)),
        Err(error) => {
            eprintln!("not run: no script(1): {error}");
            None
        }
    }
}

#[test]
fn a_terminal_is_spared_what_is_binary() {
    let server = Server::start("sctp");
    server.put("x", b"text\0\x1b[2J");
    let folder = tempfile::tempdir().unwrap();
    let Some((code, told)) = on_a_terminal(folder.path(), &server.place, &["-o", "-"]) else {
        return;
    };
    let text = String::from_utf8_lossy(&told);
    assert_eq!(code, 23, "{text}");
    assert!(text.contains("-o FILE") && !told.contains(&0), "{text}");
    // Text is shown, and so is what goes through a pipe.
    server.put("x", b"only text");
    let (code, told) = on_a_terminal(folder.path(), &server.place, &["-o", "-"]).unwrap();
    assert_eq!(code, 0);
    assert!(String::from_utf8_lossy(&told).contains("only text"));
}

#[test]
fn progress_is_for_terminals_and_fits_them() {
    let server = Server::start("sctp");
    server.put("x", &noise(400_000));
    let folder = tempfile::tempdir().unwrap();
    let slowly = ["--limit-rate", "400K"];
    let Some((code, told)) = on_a_terminal(folder.path(), &server.place, &slowly) else {
        return;
    };
    let text = String::from_utf8_lossy(&told);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("KiB/390.62 KiB"), "{text:?}");
    let silently = ["--limit-rate", "400K", "--silent"];
    let (_, told) = on_a_terminal(folder.path(), &server.place, &silently).unwrap();
    assert_eq!(String::from_utf8_lossy(&told), "");
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    for proto in BOTH {
        let server = Server::start(proto);
        server.put("x", &noise(3_000_000));
        let folder = tempfile::tempdir().unwrap();
        let mut get = server.place.get(folder.path(), "/x", &["-o", "-"]);
        let mut child = get
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut some = [0; 1000];
        child.stdout.take().unwrap().read_exact(&mut some).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(23),
            "{proto}: {}",
            stderr(&output)
        );
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn a_full_device_is_an_error_of_writing() {
    if File::options().write(true).open("/dev/full").is_err() {
        eprintln!("not run: there is no /dev/full");
        return;
    }
    for proto in BOTH {
        let server = Server::start(proto);
        server.put("x", b"new");
        let folder = tempfile::tempdir().unwrap();
        let told = stderr(&ends_with(
            23,
            &mut server.place.get(folder.path(), "/x", &["-o", "/dev/full"]),
        ));
        assert!(
            told.contains("cannot write /dev/full: No space left"),
            "{told}"
        );
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut get = server.place.get(folder.path(), "/x", &["-w", "x"]);
        let output = get.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(23), "{}", stderr(&output));
    }
}

#[test]
fn a_signal_ends_it_with_its_own_code_and_what_came_is_kept() {
    for proto in BOTH {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let server = Server::start(proto);
            server.put("x", &noise(8 << 20));
            let folder = tempfile::tempdir().unwrap();
            let arguments = ["--limit-rate", "1M", "--json"];
            let mut get = server.place.get(folder.path(), "/x", &arguments);
            let child = get
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            wait_for_bytes(&folder.path().join("x.part"), 100_000);
            kill_process(Pid::from_child(&child), signal).unwrap();
            let output = child.wait_with_output().unwrap();
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(code), "{proto}: {told}");
            assert_eq!(names(folder.path()), ["x.part", "x.part.info"], "{told}");
            assert!(told.contains("-C goes on with it"), "{told}");
            let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
            assert_eq!(report["exitcode"], code);
        }
    }
}

/// Waits until a file has so many bytes.
pub(crate) fn wait_for_bytes(name: &Path, bytes: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::metadata(name).map_or(0, |file| file.len()) < bytes {
        assert!(
            Instant::now() < deadline,
            "{} does not grow",
            name.display()
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn colours_are_as_the_environment_wants_them() {
    let help = |variable: Option<&str>| {
        let mut get = cli();
        get.args(["get", "--help"]);
        if let Some(variable) = variable {
            get.env(variable, "1");
        }
        ends_with(0, &mut get).stdout.contains(&0x1B)
    };
    assert!(!help(None) && !help(Some("NO_COLOR")));
    assert!(help(Some("CLICOLOR_FORCE")));
}
