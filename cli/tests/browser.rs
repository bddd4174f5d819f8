//! What `cli serve` lists and `cli get --open` opens, in a real browser.
//!
//! No browser speaks SCTP or DCCP: the client fetches the pages, and the browser opens the files.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests of programs that run in real time"
)]

mod common;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Server, stderr, wait_until};
use serde_json::Value;

/// How long the browser may take for one page, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A telephone, and a screen.
const WIDTHS: [u32; 2] = [360, 1280];

/// Names that a page or a link may break on, and how the page shows those that it does not show as
/// they are.
const NAMES: [(&[u8], Option<&str>); 10] = [
    (b"two  spaces and one.txt", None),
    (b"\"quotes' & <tags>.txt", None),
    (b"100%41.txt", None),
    (b"a?b#c", None),
    ("größe 日本 🦀.txt".as_bytes(), None),
    ("e\u{301}".as_bytes(), None),
    (b"line\nend\x1b[31m", Some("line\\u{a}end\\u{1b}[31m")),
    ("\u{202e}gnp.exe".as_bytes(), Some("\\u{202e}gnp.exe")),
    (b"\xff\xfe not utf-8", Some("\\xff\\xfe not utf-8")),
    (
        b"a-name-without-any-place-to-break-it-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        None,
    ),
];

/// What the page says of itself to the page around it: what its links are, and where they are.
const MEASURE: &str = "<script>
const boxes = [...document.querySelectorAll('a')].map(link => {
  const box = link.getBoundingClientRect();
  return { text: link.textContent, href: link.getAttribute('href'), left: box.left,
    right: box.right, top: box.top, bottom: box.bottom };
});
const all = JSON.stringify({ inner: innerWidth, scroll: document.documentElement.scrollWidth,
  links: boxes }).replace(/[^ -~]|[<>&]/g,
  unit => '\\\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0'));
parent.postMessage(all, '*');
</script>";

/// The browser, if there is one.
fn browser() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        eprintln!("skipped: there is no chromium in PATH");
    }
    found
}

/// The browser without a screen, `width` pixels wide, which keeps what it keeps in `profile`.
fn headless(browser: &Path, profile: &Path, width: u32) -> Command {
    let mut command = Command::new(browser);
    command
        // Its own sandbox needs namespaces that containers rarely have; what it opens is ours.
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args([
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},800"));
    command
}

/// Runs it to its end, or ends it.
fn finish(mut command: Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let waiting = thread::spawn(move || child.wait_with_output().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !waiting.is_finished() {
        if Instant::now() > deadline {
            // It is not waited for before that, so the id is still its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("the browser does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
    waiting.join().unwrap()
}

/// Opens the page at `file` in a frame `width` pixels wide, which a window of this browser cannot
/// always be, and gives what [`MEASURE`] says of it.
fn measure(browser: &Path, file: &Path, width: u32) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(file).unwrap();
    fs::write(folder.path().join("page.html"), page + MEASURE).unwrap();
    let around = folder.path().join("around.html");
    let frame = format!(
        "<!DOCTYPE html><pre id=\"measured\"></pre><script>addEventListener('message', \
         said => {{ document.getElementById('measured').textContent = said.data }})</script>\
         <iframe src=\"page.html\" style=\"border: 0; width: {width}px; height: 800px\"></iframe>"
    );
    fs::write(&around, frame).unwrap();
    let mut command = headless(browser, &folder.path().join("profile"), width);
    command.args(["--virtual-time-budget=10000", "--dump-dom"]);
    command.arg(url(&around));
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    let dom = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = dom.split_once("<pre id=\"measured\">").expect(&dom);
    serde_json::from_str(rest.split_once("</pre>").unwrap().0).expect(&dom)
}

/// Takes a picture of the page at `file`; its width and how many bytes it takes.
fn shoot(browser: &Path, file: &Path, width: u32, picture: &Path) -> (u32, usize) {
    let profile = tempfile::tempdir().unwrap();
    let _ = fs::remove_file(picture);
    let mut command = headless(browser, profile.path(), width);
    command.arg(format!("--screenshot={}", picture.display()));
    command.arg(url(file));
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    png(picture)
}

/// The width of a picture, and how many bytes it takes.
fn png(picture: &Path) -> (u32, usize) {
    let bytes = fs::read(picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    // The first chunk is IHDR: length, name, width, height.
    let width = u32::from_be_bytes(bytes[16..20].try_into().unwrap());
    (width, bytes.len())
}

fn url(file: &Path) -> String {
    format!("file://{}", file.display())
}

/// A picture of nothing, to compare with.
fn shoot_nothing(browser: &Path, width: u32) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("nothing.html");
    fs::write(&page, "<!DOCTYPE html><title>x</title>").unwrap();
    let picture = folder.path().join("nothing.png");
    shoot(browser, &page, width, &picture).1
}

#[test]
fn a_listing_fits_narrow_and_wide_windows_and_keeps_all_names() {
    let Some(browser) = browser() else { return };
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a <b> folder/in it");
    fs::create_dir_all(folder.join("sub folder")).unwrap();
    for (name, _) in NAMES {
        fs::write(folder.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let server = Server::sctp(root.path(), &["--list"]);
    let target = "/a%20%3Cb%3E%20folder/in%20it/";
    let saved = tempfile::tempdir().unwrap();
    let page = saved.path().join("listing.html");
    fs::write(&page, server.body(target)).unwrap();
    let shown = |(name, shown): &(&[u8], Option<&str>)| {
        shown.map_or_else(|| String::from_utf8(name.to_vec()).unwrap(), str::to_owned)
    };
    for width in WIDTHS {
        let measured = measure(&browser, &page, width);
        assert_eq!(measured["inner"], width);
        assert_eq!(measured["scroll"], width, "it is wider than the window");
        let links = measured["links"].as_array().unwrap();
        let texts: Vec<&str> = links
            .iter()
            .map(|link| link["text"].as_str().unwrap())
            .collect();
        // Two of the trail, the parent folder and the sub folder come first.
        assert_eq!(texts[..2], ["/", "a <b> folder"]);
        assert_eq!(texts[3], "sub folder/");
        let mut names: Vec<String> = texts[4..].iter().map(|text| (*text).to_owned()).collect();
        names.sort();
        let mut expected: Vec<String> = NAMES.iter().map(shown).collect();
        expected.sort();
        assert_eq!(names, expected);
        let mut above = f64::MIN;
        for link in &links[2..] {
            let side = |name: &str| link[name].as_f64().unwrap();
            assert!(
                side("left") >= 0.0 && side("right") <= f64::from(width),
                "{link}"
            );
            assert!(
                side("top") >= above && side("bottom") > side("top"),
                "{link}"
            );
            above = side("bottom");
        }
        if width == WIDTHS[0] {
            let mut bodies: Vec<Vec<u8>> = links[4..]
                .iter()
                .map(|link| server.body(&format!("{target}{}", link["href"].as_str().unwrap())))
                .collect();
            bodies.sort();
            let mut expected = NAMES.map(|(name, _)| name.to_vec());
            expected.sort();
            assert_eq!(bodies, expected);
        }
        // Left for people to look at.
        let picture = format!("{}/listing-{width}.png", env!("CARGO_TARGET_TMPDIR"));
        let (pixels, bytes) = shoot(&browser, &page, width, picture.as_ref());
        assert_eq!(pixels, width);
        let nothing = shoot_nothing(&browser, width);
        assert!(bytes > 4 * nothing, "{bytes} {nothing}");
    }
    server.stop();
}

#[test]
fn a_page_is_opened_by_the_viewer() {
    let Some(browser) = browser() else { return };
    let www = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www");
    let server = Server::sctp(&www, &[]);
    for width in WIDTHS {
        // What opens files on a desktop: here it takes a picture and a dump.
        let desktop = tempfile::tempdir().unwrap();
        let picture = desktop.path().join("picture.png");
        let done = desktop.path().join("done");
        let viewer = desktop.path().join("xdg-open");
        let browse = headless(&browser, &desktop.path().join("profile"), width);
        let browse: Vec<String> = std::iter::once(browse.get_program())
            .chain(browse.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let script = format!(
            "#!/bin/sh\ntimeout 100 {} --screenshot='{}' \"$(realpath \"$1\")\" \
             >/dev/null 2>&1\necho \"$1\" >'{}.new'\nmv '{}.new' '{}'\n",
            browse.join(" "),
            picture.display(),
            done.display(),
            done.display(),
            done.display(),
        );
        fs::write(&viewer, script).unwrap();
        fs::set_permissions(&viewer, PermissionsExt::from_mode(0o755)).unwrap();
        let mut path = desktop.path().as_os_str().to_owned();
        path.push(":");
        path.push(env::var_os("PATH").unwrap());
        let saved = tempfile::tempdir().unwrap();
        let output = server
            .client(&["--open"])
            .arg(server.target("/"))
            .current_dir(saved.path())
            .env("PATH", path)
            .env("DISPLAY", ":0")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        wait_until("the viewer does not end", || done.exists());
        let opened = fs::read_to_string(&done).unwrap();
        assert!(opened.contains("index.html"), "{opened}");
        let page = saved.path().join("index.html");
        assert_eq!(
            fs::read(&page).unwrap(),
            fs::read(www.join("index.html")).unwrap()
        );
        let (pixels, bytes) = png(&picture);
        assert_eq!(pixels, width);
        assert!(bytes > 3 * shoot_nothing(&browser, width));
        let measured = measure(&browser, &page, width);
        assert_eq!(measured["scroll"], width, "it is wider than the window");
        assert!(!measured["links"].as_array().unwrap().is_empty());
    }
    server.stop();
}
