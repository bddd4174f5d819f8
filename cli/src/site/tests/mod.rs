mod content;
mod encodings;
mod listings;
mod names;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proto::machine::{Datagram, Delivery, Disposition, Machine};
use proto::request::{Limits, parse};
use proto::server::{self, Exchange};
use tempfile::TempDir;
use transport::{Application, Responder};

use super::*;

/// A document root in a folder of its own, with a file beside it that nobody may see.
struct World {
    folder: TempDir,
}

const SECRET: &str = "outside";

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("www")).unwrap();
        fs::write(folder.path().join("secret.txt"), SECRET).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("www").join(name)
    }

    /// Puts a file there that was last changed in 2001.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_modified(&path, Duration::from_secs(1_000_000_000));
        path
    }

    fn root(&self) -> Root {
        Root::open(&self.path("")).unwrap()
    }

    fn site(&self) -> FileSite {
        site(self.root(), DigestConfig::default())
    }

    /// A site for each way to open files.
    fn sites(&self) -> [FileSite; 2] {
        let default = DigestConfig::default();
        [self.site(), site(self.root().with_steps(), default)]
    }
}

fn site(root: Root, digests: DigestConfig) -> FileSite {
    let config = Config {
        digests,
        ..Config::default()
    };
    site_with(root, config)
}

fn site_with(root: Root, config: Config) -> FileSite {
    let log = Log::open(None, None, false).unwrap();
    FileSite::new(root, config, None, Arc::new(log))
}

fn set_modified(path: &Path, since_1970: Duration) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + since_1970).unwrap();
}

/// What a client got.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
    end: Disposition,
}

impl Reply {
    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    fn tag(&self) -> &str {
        self.field("ETag").unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "any time will do")]
fn any_time() -> Instant {
    Instant::now()
}

/// Asks over an SCTP stream without a socket. `meanwhile` runs once, when the head was sent.
fn ask_and(site: &FileSite, head: &str, meanwhile: impl FnOnce()) -> Reply {
    let now = any_time();
    let mut machine = Exchange::new(now, server::Config::new(Delivery::Reliable));
    let mut responder = Responder::<_, ()>::new(site.clone());
    let request = Bytes::copy_from_slice(head.as_bytes());
    machine.handle_datagram(now, Datagram::message((), request));
    let mut meanwhile = Some(meanwhile);
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for _ in 0..100_000 {
        responder.run(now, &mut machine);
        let mut message = Vec::new();
        if machine.poll_transmit(now, 4096, &mut message).is_some() {
            messages.push(message);
            if let Some(meanwhile) = meanwhile.take() {
                meanwhile();
            }
        } else if machine.disposition() != Disposition::Open {
            break;
        }
    }
    let head = String::from_utf8(messages[0].clone()).unwrap();
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: messages[1..].concat(),
        end: machine.disposition(),
    }
}

fn ask(site: &FileSite, head: &str) -> Reply {
    ask_and(site, head, || ())
}

fn get(site: &FileSite, target: &str) -> Reply {
    ask(site, &format!("GET {target} HTTP/1.0\r\n\r\n"))
}

fn open(site: &mut FileSite, target: &str) -> Resource {
    let request = format!("GET {target} HTTP/1.0\r\n\r\n");
    let request = parse(request.as_bytes(), &Limits::default()).unwrap();
    site.open(&request, &TargetPath::parse(target).unwrap())
}
