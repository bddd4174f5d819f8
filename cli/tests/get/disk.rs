//! Disks that are full, folders that cannot be written, and downloads that are cut and gone on
//! with: what was there stays as it was.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getuid, kill_process};
use sha2::{Digest, Sha256};

use crate::server::{BOTH, Server, age, ends_with, names, noise, stderr};
use crate::streams::wait_for_bytes;

const MIB: u64 = 1 << 20;

/// A file with holes and with bytes all over it, so that what is out of place is noticed.
fn put_sparse(server: &Server, name: &str, length: u64) {
    let mut file = File::create(server.folder.path().join(name)).unwrap();
    file.set_len(length).unwrap();
    let marks = noise(64);
    for at in (0..length).step_by(usize::try_from(length / 64).unwrap()) {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&marks).unwrap();
        file.write_all(&at.to_be_bytes()).unwrap();
    }
    // What the last mark has too much.
    file.set_len(length).unwrap();
    age(&file);
}

fn hash(path: &Path) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hasher.finalize().to_vec(),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// Interrupts a download of `length` bytes when a part of it is here, and goes on with it.
fn interrupt_and_go_on(proto: &'static str, length: u64) {
    let server = Server::start(proto);
    put_sparse(&server, "big", length);
    let folder = tempfile::tempdir().unwrap();
    let (big, part) = (folder.path().join("big"), folder.path().join("big.part"));
    fs::write(&big, "old").unwrap();
    // Its digest is made once, and not while it is waited for.
    ends_with(0, &mut server.place.get(folder.path(), "/big", &["-I"]));
    let mut get = server
        .place
        .get(folder.path(), "/big", &["--limit-rate", "20M"]);
    let child = get.stderr(Stdio::piped()).spawn().unwrap();
    wait_for_bytes(&part, length / 16);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert_eq!(fs::read(&big).unwrap(), b"old");
    assert!(fs::metadata(&part).unwrap().len() < length);
    let told = stderr(&ends_with(
        0,
        &mut server.place.get(folder.path(), "/big", &["-C", "-v"]),
    ));
    assert!(told.contains("going on with "), "{told}");
    assert_eq!(names(folder.path()), ["big"]);
    assert_eq!(hash(&big), hash(&server.folder.path().join("big")));
}

#[test]
fn an_interrupted_download_is_gone_on_with_to_the_same_bytes() {
    for proto in BOTH {
        interrupt_and_go_on(proto, 64 * MIB);
    }
}

#[test]
#[ignore = "takes 2 GiB of disk"]
fn an_interrupted_download_of_1_gib_is_gone_on_with_to_the_same_bytes() {
    for proto in BOTH {
        interrupt_and_go_on(proto, 1024 * MIB);
    }
}

#[test]
fn a_folder_in_the_place_of_the_file_is_an_error_of_writing() {
    for proto in BOTH {
        let server = Server::start(proto);
        server.put("x", b"new");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("x")).unwrap();
        let told = stderr(&ends_with(
            23,
            &mut server.place.get(folder.path(), "/x", &[]),
        ));
        assert!(
            told.contains("x is a folder; name a file with -o FILE"),
            "{told}"
        );
        assert_eq!(names(folder.path()), ["x"]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_of_writing() {
    if getuid().is_root() {
        // Nothing is read-only to root but what a mount says; see the next test.
        eprintln!("not run as root: the rights of a folder do not bind it");
        return;
    }
    let server = Server::start("sctp");
    server.put("x", b"new");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "old").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    ends_with(23, &mut server.place.get(folder.path(), "/x", &[]));
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["x"]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a client where `mount` made a small disk of `$0`, with `old` in its `x`; what the disk
/// holds is listed behind what the client told. `None` if such a world cannot be made here.
pub(crate) fn on_a_disk(server: &Server, options: &str, then: &str) -> Option<(i32, String)> {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o {options} none \"$0\" && cd \"$0\" && printf old >x || exit 99\n\
         {then}\n\"$@\"; code=$?; ls; printf 'x is '; cat x; exit $code"
    );
    let get = server.place.get(folder.path(), "/x", &["--retries", "0"]);
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .arg(folder.path())
        .arg(env!("CARGO_BIN_EXE_cli"))
        .args(get.get_args())
        .output();
    let output = output
        .map_err(|error| error.to_string())
        .and_then(|output| match output.status.code() {
            Some(99) | None => Err(stderr(&output)),
            // `unshare` itself failed.
            Some(1) if output.stdout.is_empty() => Err(stderr(&output)),
            Some(code) => Ok((
                code,
                stderr(&output) + &String::from_utf8_lossy(&output.stdout),
            )),
        });
    output
        .inspect_err(|error| eprintln!("not run: no mount namespace: {error}"))
        .ok()
}

#[test]
fn a_full_disk_leaves_the_old_file_and_what_can_be_gone_on_with() {
    for proto in BOTH {
        let server = Server::start(proto);
        server.put("x", &noise(600_000));
        let Some((code, told)) = on_a_disk(&server, "size=256k", "") else {
            return;
        };
        assert_eq!(code, 23, "{told}");
        assert!(told.contains("cannot write x.part"), "{told}");
        assert!(told.contains("No space left on device"), "{told}");
        assert!(told.ends_with("x is old"), "{told}");
    }
}

#[test]
fn a_disk_that_is_read_only_leaves_the_old_file() {
    let server = Server::start("sctp");
    server.put("x", b"new");
    let Some((code, told)) = on_a_disk(&server, "size=256k", "mount -o remount,ro \"$0\"") else {
        return;
    };
    assert_eq!(code, 23, "{told}");
    assert!(
        told.contains("cannot write x.part: Read-only file system"),
        "{told}"
    );
    assert!(told.ends_with("x\nx is old"), "{told}");
}
