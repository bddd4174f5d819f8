//! How `cli serve` ends when it cannot begin.

use std::process::{Command, Output};

use socket::{Protocol, probe};

fn serve(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cli"))
        .arg("serve")
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let output = serve(&["no-such-folder", "--port", "0"]);
    assert!(!output.status.success());
    let told = stderr(&output);
    assert!(told.contains("no-such-folder"), "{told}");
    assert!(!told.contains("listening"), "{told}");
}

#[test]
fn a_protocol_that_is_missing_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for (name, protocol) in [("sctp", Protocol::Sctp), ("dccp", Protocol::Dccp)] {
        let Some(missing) = probe().of(protocol).ipv4.err() else {
            eprintln!("skipped: this kernel has {protocol}");
            continue;
        };
        for driver in ["std", "mio"] {
            let kernel = ["--via", "kernel", "--port", "0"];
            let arguments = [&[folder, "--proto", name, "--driver", driver], &kernel[..]];
            let output = serve(&arguments.concat());
            assert_eq!(output.status.code(), Some(100), "{name} {driver}");
            let told = stderr(&output);
            assert!(told.contains(&missing.to_string()), "{told}");
        }
    }
}
