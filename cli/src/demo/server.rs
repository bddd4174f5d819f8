//! The server of a demonstration, on a thread of its own.

use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use clap::{Parser, ValueEnum};
use socket::stop::Shutdown;

use super::report;
use crate::args::{self, Cli, Command, Proto, Via};
use crate::carrier::Carrier;
use crate::exit::{Code, Failure};
use crate::plan;
use crate::serve::{self, ServeError};
use crate::sight::{Role, Watch};

/// A server that runs.
pub(super) struct Server {
    /// What one types to have the same.
    pub(super) command: String,
    /// The port of SCTP or DCCP.
    pub(super) port: u16,
    pub(super) udp_port: Option<u16>,
    pub(super) watch: Watch,
    shutdown: Shutdown,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Server {
    /// Serves `root` on free ports.
    pub(super) fn start(args: &args::Demo, proto: Proto, root: &Path) -> Result<Self, Failure> {
        let driver = value(&args.driver);
        let mut words: Vec<String> = ["cli", "serve", "--proto", report::name(proto)]
            .map(str::to_owned)
            .to_vec();
        words.extend(["--driver".to_owned(), driver]);
        let typed = |port, udp_port| {
            let ports = ["--port".to_owned(), format!("{port}")];
            let carrier = carrier_words(args, udp_port);
            [&words, &carrier[..], &ports].concat()
        };
        let udp_port = match args.via {
            Via::Auto | Via::Udp => Some(0),
            Via::Kernel | Via::Raw => None,
        };
        let quietly = typed(0, udp_port)
            .into_iter()
            .chain(["--quiet", "--log-format", "off"].map(str::to_owned))
            .map(Into::into)
            .chain([root.as_os_str().to_owned()]);
        let Ok(Command::Serve(args)) = Cli::try_parse_from(quietly).map(|cli| cli.command) else {
            let message = "serve does not take its own words";
            return Err(Failure::new(Code::Usage, message));
        };
        let options = plan::serve(&args)?;
        let shutdown = Shutdown::new().map_err(ServeError::System)?;
        // Nothing of the server's is shown, but its figures are.
        let sight = args::Sight {
            ladder: true,
            ..args::Sight::default()
        };
        let watch = Watch::begin(&sight, Role::Server)?;
        let site = serve::site(&options)?;
        let (sender, receiver) = mpsc::channel();
        let thread = {
            let (watch, shutdown) = (watch.clone(), shutdown.clone());
            thread::spawn(move || {
                serve::run_site(&options, &site, &watch, &shutdown, |places| {
                    // The other thread waits for this, or has panicked.
                    let _ = sender.send(places.to_vec());
                })
            })
        };
        let Ok(places) = receiver.recv() else {
            return Err(match thread.join() {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) | Err(_) => Failure::new(Code::Receive, "the server did not begin"),
            });
        };
        let port = places.first().map_or(0, |place| place.address.port());
        let udp_port = places.iter().find_map(|place| match place.carrier {
            Carrier::Udp(port) => Some(port),
            Carrier::Kernel | Carrier::Raw => None,
        });
        let command = typed(port, udp_port).join(" ");
        Ok(Self {
            command: format!("{command} {}", root.display()),
            port,
            udp_port,
            watch,
            shutdown,
            thread: Some(thread),
        })
    }

    /// Ends it, and tells how it went.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        match self.end() {
            Some(Ok(served)) => Ok(served?),
            Some(Err(_)) | None => Err(Failure::new(Code::Receive, "the server panicked")),
        }
    }

    fn end(&mut self) -> Option<thread::Result<Result<(), ServeError>>> {
        // Nobody is being served any more.
        self.shutdown.request();
        self.shutdown.request();
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What went wrong before is what is told.
        let _ = self.end();
    }
}

/// The options that name the carrier.
pub(super) fn carrier_words(args: &args::Demo, udp_port: Option<u16>) -> Vec<String> {
    let mut words = vec!["--via".to_owned(), value(&args.via)];
    if let Some(port) = udp_port {
        words.extend(["--udp-port".to_owned(), port.to_string()]);
    }
    words
}

/// A value as it is typed.
fn value(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}
