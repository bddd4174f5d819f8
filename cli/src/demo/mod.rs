//! `cli demo`: the main job, shown. A server on a thread, `get` on this one, both as they are typed.

mod folder;
mod relay;
mod report;
mod server;

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Parser;
use socket::Protocol;
use socket::stop::Shutdown;

use crate::args::{self, Cli, Command, Proto, Via};
use crate::exit::{Code, Failure};
use crate::sight::{self, Role, Watch};
use crate::terminal;
use folder::{Folder, Item};
use relay::Relay;
use report::{Fetched, Table};
use server::Server;

/// Serves a folder and fetches a page, a picture and a video, over each protocol that was asked
/// for, and shows on stdout what happened.
pub(crate) fn run(args: &args::Demo) -> Result<(), Code> {
    match Demo::prepare(args).and_then(|demo| demo.run()) {
        Ok(()) => Ok(()),
        Err(Ended::Failed(failure)) => Err(failure.report("demo")),
        Err(Ended::Told(code)) => Err(code),
        // As `cli demo | head` ends: nobody reads the rest.
        Err(Ended::NobodyReads) => Ok(()),
    }
}

/// Why a demonstration ended early.
enum Ended {
    Failed(Failure),
    /// `get` has told why.
    Told(Code),
    NobodyReads,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

struct Demo<'a> {
    args: &'a args::Demo,
    folder: Folder,
    output: Output,
    shutdown: Shutdown,
}

/// Where what is fetched goes to. A new folder stays only if all went well.
enum Output {
    Named(PathBuf),
    New(tempfile::TempDir),
}

impl Output {
    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::New(folder) => folder.path(),
        }
    }

    fn keep(self) {
        if let Self::New(folder) = self {
            let _ = folder.keep();
        }
    }
}

impl<'a> Demo<'a> {
    fn prepare(args: &'a args::Demo) -> Result<Self, Ended> {
        if args.loss > 0 && args.via != Via::Udp {
            let message = "--loss is for --via udp, where the packets pass through this program";
            return Err(Failure::new(Code::Usage, message)
                .hint("add --via udp, or leave out --loss")
                .into());
        }
        let shutdown = Shutdown::on_signals().map_err(|error| Failure::no_signals(&error))?;
        let folder = Folder::choose(args.dir.as_deref())?;
        let output = match &args.output {
            Some(path) => {
                fs::create_dir_all(path).map_err(|error| Failure::cannot_write(path, &error))?;
                Output::Named(path.clone())
            }
            None => Output::New(
                tempfile::Builder::new()
                    .prefix("http-over-messages.")
                    .tempdir()
                    .map_err(|error| Failure::cannot_write(&std::env::temp_dir(), &error))?,
            ),
        };
        Ok(Self {
            args,
            folder,
            output,
            shutdown,
        })
    }

    fn run(self) -> Result<(), Ended> {
        let protocols = match self.args.proto {
            Some(proto) => vec![proto],
            None => vec![Proto::Sctp, Proto::Dccp],
        };
        if self.folder.is_built_in() {
            say("There is no folder www here: the files are those that the program carries.\n\n")?;
        }
        for proto in &protocols {
            self.show(*proto)?;
        }
        let path = self.output.path();
        say(&report::closing(
            path,
            &protocols,
            &self.folder,
            self.shows_packets(),
            self.args.loss,
        ))?;
        self.output.keep();
        Ok(())
    }

    /// Whether a program without rights can see the packets.
    fn shows_packets(&self) -> bool {
        self.args.via != Via::Kernel
    }

    /// Fetches everything over one protocol.
    fn show(&self, proto: Proto) -> Result<(), Ended> {
        let protocol = Protocol::from(proto);
        let name = report::name(proto);
        let folder = self.output.path().join(name);
        fs::create_dir_all(&folder).map_err(|error| Failure::cannot_write(&folder, &error))?;
        let watch = self.watch(name)?;
        let server = Server::start(self.args, proto, self.folder.path())?;
        let relay = match (self.args.loss, server.udp_port) {
            (loss @ 1.., Some(port)) => Some(Relay::start(port, loss).map_err(|error| {
                let message = format_args!("packets cannot be passed on: {error}");
                Failure::new(Code::Connect, message).hint("leave out --loss")
            })?),
            _ => None,
        };
        let lossy = match self.args.loss {
            0 => String::new(),
            loss => format!(", {loss} % of the packets lost on the way"),
        };
        say(&format!(
            "== HTTP over {protocol}, {}{lossy} ==\n\n$ {}\n",
            report::travels(self.args.via),
            server.command
        ))?;
        let mut table = Table::new(proto, self.shows_packets());
        for item in self.folder.items() {
            let to = folder.join(&item.name);
            let port = relay.as_ref().map(Relay::port).or(server.udp_port);
            let words = self.get_words(proto, server.port, port, item);
            say(&format!("$ {}\n", words.join(" ")))?;
            self.get(&words, &to, &watch)?;
            self.compare(item, &to)?;
            if item.is_page {
                let style = sight::style(&io::stdout());
                let ladder = watch.latest_ladder(style).unwrap_or_default();
                say(&format!("\n{ladder}\n"))?;
            }
            table.push(Fetched {
                name: item.name.clone(),
                bytes: item.bytes,
                connected: watch.latest_connected(),
                client: watch.latest_summary(),
                server: server.watch.latest_summary(),
            });
        }
        watch.finish()?;
        server.stop()?;
        drop(relay);
        say(&format!("\n{table}\n"))
    }

    /// Watches what the client sends and receives.
    fn watch(&self, name: &str) -> Result<Watch, Failure> {
        let path = self.output.path();
        let sight = args::Sight {
            pcap: self
                .shows_packets()
                .then(|| path.join(format!("{name}.pcapng"))),
            // That of the last transfer.
            ladder_svg: Some(path.join(format!("{name}.svg"))),
            ..args::Sight::default()
        };
        Watch::begin(&sight, Role::Client)
    }

    /// The command that fetches an item.
    fn get_words(
        &self,
        proto: Proto,
        port: u16,
        udp_port: Option<u16>,
        item: &Item,
    ) -> Vec<String> {
        let mut words: Vec<String> = ["cli", "get", "--proto", report::name(proto)]
            .map(str::to_owned)
            .to_vec();
        words.extend(server::carrier_words(self.args, udp_port));
        words.push(format!("127.0.0.1:{port}/{}", item.path));
        words
    }

    /// Does what the command says, but quietly, and with the file in its place.
    fn get(&self, words: &[String], to: &Path, watch: &Watch) -> Result<(), Ended> {
        let quietly = words.iter().map(Into::into).chain([
            "--silent".into(),
            "--output".into(),
            to.as_os_str().to_owned(),
        ]);
        let Ok(Command::Get(args)) = Cli::try_parse_from(quietly).map(|cli| cli.command) else {
            return Err(Failure::new(Code::Usage, "get does not take its own words").into());
        };
        crate::get::run_watched(&args, watch).map_err(Ended::Told)?;
        if self.shutdown.graceful.is_stopped() {
            return Err(Ended::Told(Code::Interrupted));
        }
        Ok(())
    }

    fn compare(&self, item: &Item, to: &Path) -> Result<(), Failure> {
        let from = self.folder.path().join(&item.name);
        match is_same(&from, to) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let name = terminal::printable(item.name.as_bytes());
                let message = format_args!("{name} arrived, but it differs");
                Err(Failure::new(Code::Digest, message)
                    .hint("was it changed meanwhile? then try again"))
            }
            Err(error) => Err(Failure::new(
                Code::Receive,
                format_args!(
                    "{} and {} cannot be compared: {error}",
                    from.display(),
                    to.display()
                ),
            )
            .hint("leave both alone until the end")),
        }
    }
}

/// Whether two files have the same bytes.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let mut bytes = [
        BufReader::new(File::open(one)?).bytes(),
        BufReader::new(File::open(other)?).bytes(),
    ];
    loop {
        let [one, other] = bytes.each_mut().map(|bytes| bytes.next().transpose());
        match (one?, other?) {
            (None, None) => return Ok(true),
            (one, other) if one != other => return Ok(false),
            _ => {}
        }
    }
}

/// Prints to stdout.
fn say(text: &str) -> Result<(), Ended> {
    match terminal::print(text.as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Ended::NobodyReads),
        Err(error) => Err(Failure::cannot_write(Path::new("stdout"), &error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_the_same_if_all_their_bytes_are() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        let same = |a: &[u8], b: &[u8]| {
            fs::write(&one, a).unwrap();
            fs::write(&other, b).unwrap();
            is_same(&one, &other).unwrap()
        };
        assert!(same(b"", b"") && same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"", b"a"));
    }
}
