//! Answers requests with the files beneath a folder.

mod digests;
mod encoding;
mod listing;
mod media_type;
mod opened;
mod page;
mod root;
#[cfg(test)]
mod tests;
mod version;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proto::date::HttpDate;
use proto::fields::Fields;
use proto::request::Request;
use proto::server::Answer;
use proto::status::Status;
use proto::target::TargetPath;
use rustix::io::Errno;
use transport::{LogEntry, Site};

use crate::access_log::{Client, Log, Way};
use crate::clock;
use crate::peers::Rates;

use self::digests::Digests;
use self::listing::Job;
use self::opened::Opened;
use self::page::Page;
use self::version::Version;

pub(crate) use self::digests::Config as DigestConfig;
pub(crate) use self::listing::Config as ListingConfig;
pub(crate) use self::media_type::MediaTypes;
pub(crate) use self::root::Root;

/// What is served of a folder, and how.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) digests: DigestConfig,
    /// The files that stand for a folder: the first of them that is there. Default: `index.html`.
    pub(crate) index: Vec<String>,
    /// How folders without such a file are shown; `None`, the default, shows none.
    pub(crate) listing: Option<ListingConfig>,
    /// Whether names that begin with a dot are served and listed. Default: not.
    pub(crate) hidden: bool,
    /// Whether `NAME.br`, `NAME.zst` and `NAME.gz` stand for `NAME` where a client takes them.
    /// Default: not.
    pub(crate) precompressed: bool,
    /// The target that says that the server is well; such requests are not logged. Default: none.
    pub(crate) health: Option<TargetPath>,
    pub(crate) media_types: MediaTypes,
    /// Further fields of answers with a file or a listing. Default: none.
    pub(crate) further: Fields,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            digests: DigestConfig::default(),
            index: vec!["index.html".to_owned()],
            listing: None,
            hidden: false,
            precompressed: false,
            health: None,
            media_types: MediaTypes::default(),
            further: Fields::new(),
        }
    }
}

/// A document root, as one client sees it.
#[derive(Clone, Debug)]
pub(crate) struct FileSite {
    shared: Arc<Shared>,
    client: Client,
}

#[derive(Debug)]
struct Shared {
    root: Root,
    config: Config,
    digests: Digests,
    /// How many requests an address may send; `None` for any number.
    rates: Option<Rates>,
    log: Arc<Log>,
    answers: AtomicU64,
    body_bytes: AtomicU64,
}

/// What a site did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// How many requests were answered.
    pub(crate) answers: u64,
    /// How many bytes of bodies were sent.
    pub(crate) body_bytes: u64,
}

impl FileSite {
    /// The site of all that lies beneath `root`.
    pub(crate) fn new(root: Root, config: Config, rates: Option<Rates>, log: Arc<Log>) -> Self {
        let shared = Shared {
            root,
            digests: Digests::new(config.digests),
            config,
            rates,
            log,
            answers: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            client: Client {
                peer: SocketAddr::from(([0, 0, 0, 0], 0)),
                way: Way::default(),
            },
        }
    }

    /// The same site for the client at `peer`, whom the log names, and who came that way.
    pub(crate) fn for_peer(&self, peer: SocketAddr, way: Way) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            client: Client { peer, way },
        }
    }

    /// The folder that is served.
    pub(crate) fn root(&self) -> &Root {
        &self.shared.root
    }

    /// What was done for all clients so far.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            answers: self.shared.answers.load(Ordering::Relaxed),
            body_bytes: self.shared.body_bytes.load(Ordering::Relaxed),
        }
    }

    /// What there is for a request.
    fn find(&self, request: &Request, path: &TargetPath) -> Result<Resource, Nothing> {
        let Shared { config, rates, .. } = &*self.shared;
        if config.is_health(path) {
            let page = Page::new("text/plain; charset=utf-8", Bytes::from_static(b"ok\n"));
            return Ok(Resource::Page(page.field("Cache-Control", "no-store")));
        }
        if let Some(rates) = rates
            && !rates.take(clock(), self.client.peer.ip())
        {
            return Err(Nothing::Error(Status::TOO_MANY_REQUESTS));
        }
        if path.is_hidden() && !config.hidden {
            return Err(Nothing::Error(Status::NOT_FOUND));
        }
        let names: Vec<&[u8]> = path.segments().iter().map(Vec::as_slice).collect();
        let found = if path.is_directory() {
            self.shared.find_in_folder(&names, request, path)?
        } else {
            match self.shared.find_file(&names, request)? {
                Found::File(opened) => Resource::File(opened),
                Found::Folder => return Err(Nothing::Moved(path.to_location(true))),
            }
        };
        Ok(found)
    }
}

/// Why there is nothing to send.
#[derive(Clone, Debug)]
pub(crate) enum Nothing {
    /// It is elsewhere: see [`Answer::Moved`].
    Moved(String),
    Error(Status),
}

impl From<Nothing> for Answer {
    fn from(nothing: Nothing) -> Self {
        match nothing {
            Nothing::Moved(location) => Self::Moved(location),
            Nothing::Error(status) => Self::Error(status),
        }
    }
}

/// What a name leads to.
enum Found {
    File(Box<Opened>),
    Folder,
}

impl Shared {
    /// What stands for the folder at `names`.
    fn find_in_folder(
        &self,
        names: &[&[u8]],
        request: &Request,
        path: &TargetPath,
    ) -> Result<Resource, Nothing> {
        for index in &self.config.index {
            let names = [names, &[index.as_bytes()]].concat();
            match self.find_file(&names, request) {
                Ok(Found::File(opened)) => return Ok(Resource::File(opened)),
                Ok(Found::Folder) | Err(Nothing::Error(Status::NOT_FOUND)) => {}
                Err(nothing) => return Err(nothing),
            }
        }
        let Some(listing) = self.config.listing else {
            return Err(Nothing::Error(Status::NOT_FOUND));
        };
        let folder = self.root.open_folder(names).map_err(refuse)?;
        let job = Job::new(folder, request, path, listing, self.config.hidden).map_err(refuse)?;
        Ok(Resource::Listing(Box::new(job)))
    }

    /// The file at `names`, in a coding that the client takes.
    fn find_file(&self, names: &[&[u8]], request: &Request) -> Result<Found, Nothing> {
        let file = self.root.open_file(names).map_err(refuse)?;
        let metadata = file.metadata().map_err(|_| internal_error())?;
        if metadata.is_dir() {
            return Ok(Found::Folder);
        }
        if !metadata.is_file() {
            return Err(Nothing::Error(Status::FORBIDDEN));
        }
        let name = names.last().copied().unwrap_or_default();
        let version = Version::of(&metadata);
        let types = &self.config.media_types;
        let mut opened = Opened::new(name, file, version, types, self.config.further.clone())
            .map_err(|_| internal_error())?;
        if self.config.precompressed {
            self.negotiate(&mut opened, names, request)?;
        }
        Ok(Found::File(Box::new(opened)))
    }

    /// Takes the file beside the one at `names` whose coding the client likes best.
    fn negotiate(
        &self,
        opened: &mut Opened,
        names: &[&[u8]],
        request: &Request,
    ) -> Result<(), Nothing> {
        opened.vary("Accept-Encoding");
        let Some((name, folders)) = names.split_last() else {
            return Ok(());
        };
        let accepted = request.fields.joined("Accept-Encoding");
        for coding in encoding::preferred(accepted.as_deref()) {
            let Some(coding) = coding else { return Ok(()) };
            let name = [name, coding.ending.as_bytes()].concat();
            let names = [folders, &[&name[..]]].concat();
            if let Some((file, version)) = self.open_beside(&names, opened.version()) {
                opened.encode(coding, file, version);
                return Ok(());
            }
        }
        // RFC 9110 §12.5.3: no coding that is there is acceptable, nor is to have none.
        Err(Nothing::Error(Status::NOT_ACCEPTABLE))
    }

    /// The file at `names`, unless it is older than the one it was made of: that has changed since.
    fn open_beside(&self, names: &[&[u8]], original: &Version) -> Option<(File, Version)> {
        let file = self.root.open_file(names).ok()?;
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let version = Version::of(&metadata);
        (!version.is_older_than(original)).then_some((file, version))
    }
}

impl Config {
    fn is_health(&self, path: &TargetPath) -> bool {
        self.health.as_ref().is_some_and(|health| {
            health.segments() == path.segments() && health.is_directory() == path.is_directory()
        })
    }
}

fn refuse(errno: Errno) -> Nothing {
    Nothing::Error(root::status(errno))
}

fn internal_error() -> Nothing {
    Nothing::Error(Status::INTERNAL_SERVER_ERROR)
}

/// What was found for a request.
#[derive(Debug)]
pub(crate) enum Resource {
    File(Box<Opened>),
    Listing(Box<Job>),
    Page(Page),
    Nothing(Nothing),
}

impl Site for FileSite {
    type Resource = Resource;

    fn open(&mut self, request: &Request, path: &TargetPath) -> Resource {
        self.shared.log.show_request(self.client.peer, request);
        let mut found = self.find(request, path).unwrap_or_else(Resource::Nothing);
        if let Resource::File(opened) = &mut found
            && request.wants_digest()
        {
            opened.wish_digest();
        }
        found
    }

    fn poll_answer(&mut self, resource: &mut Resource) -> Poll<Answer> {
        if let Resource::Listing(job) = resource {
            *resource = match job.poll() {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(page)) => Resource::Page(page.fields(&self.shared.config.further)),
                Poll::Ready(Err(errno)) => Resource::Nothing(refuse(errno)),
            };
        }
        match resource {
            Resource::File(opened) => opened.poll(&self.shared.digests),
            Resource::Listing(_) => Poll::Pending,
            Resource::Page(page) => Poll::Ready(Answer::Found(page.representation())),
            Resource::Nothing(nothing) => Poll::Ready(nothing.clone().into()),
        }
    }

    fn read(&mut self, resource: &mut Resource, offset: u64, length: usize) -> io::Result<Bytes> {
        match resource {
            Resource::File(opened) => opened.read(offset, length),
            Resource::Page(page) => page.read(offset, length),
            Resource::Listing(_) | Resource::Nothing(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn date(&mut self) -> HttpDate {
        date()
    }

    fn finished(&mut self, entry: &LogEntry<'_>) {
        let Shared { config, log, .. } = &*self.shared;
        self.shared.answers.fetch_add(1, Ordering::Relaxed);
        let sent = entry.summary.body_bytes;
        self.shared.body_bytes.fetch_add(sent, Ordering::Relaxed);
        log.show_answer(self.client.peer, entry);
        let path = entry
            .request
            .filter(|_| config.health.is_some())
            .and_then(|request| TargetPath::parse(&request.target).ok());
        if !path.is_some_and(|path| config.is_health(&path)) {
            log.write(&self.client, date(), entry);
        }
    }
}

fn date() -> HttpDate {
    let seconds = now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    HttpDate::from_unix(seconds)
}

#[expect(
    clippy::disallowed_methods,
    reason = "answers are dated, and files are compared with the time of day"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
