//! What a demonstration says.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::folder::Folder;
use crate::args::{Proto, Via};
use crate::carrier::Carrier;
use crate::sight::Summary;
use crate::terminal;

/// The name of a protocol as it is typed.
pub(super) const fn name(proto: Proto) -> &'static str {
    match proto {
        Proto::Sctp => "sctp",
        Proto::Dccp => "dccp",
    }
}

/// What the packets travel in, for a heading.
pub(super) const fn travels(via: Via) -> &'static str {
    match via {
        Via::Auto => "in what works here",
        Via::Kernel => "both ends the kernel's",
        Via::Udp => "in UDP, both ends our own stack",
        Via::Raw => "in IP, both ends our own stack",
    }
}

/// A file that was fetched.
pub(super) struct Fetched {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// What the connection travels in, and how long its handshake took.
    pub(super) connected: Option<(Carrier, Duration)>,
    /// What the two ends have counted.
    pub(super) client: Option<Summary>,
    pub(super) server: Option<Summary>,
}

impl Fetched {
    fn cells(&self, proto: Proto, shows_packets: bool) -> [String; 8] {
        const NONE: &str = "-";
        let or_none = |cell: Option<String>| cell.unwrap_or_else(|| NONE.to_owned());
        let again = match proto {
            // The server of a kernel's association does not tell.
            Proto::Sctp => self
                .server
                .filter(|_| shows_packets)
                .map(|server| server.sent_again),
            Proto::Dccp => self.client.map(|client| client.requests.saturating_sub(1)),
        };
        let took = self.client.map(|client| client.took);
        let goodput = took.filter(|took| !took.is_zero()).map(|took| {
            let megabytes = self.bytes as f64 / took.as_secs_f64() / 1e6;
            format!("{megabytes:.1} MB/s")
        });
        [
            terminal::printable(self.name.as_bytes()),
            self.bytes.to_string(),
            or_none(self.connected.map(|(carrier, _)| carrier.to_string())),
            or_none(
                self.connected
                    .map(|(_, took)| terminal::duration(took).into_owned()),
            ),
            or_none(self.client.map(|client| client.packets.to_string())),
            or_none(again.map(|again| again.to_string())),
            or_none(took.map(|took| terminal::duration(took).into_owned())),
            or_none(goodput),
        ]
    }
}

/// What was fetched over one protocol, a line each.
pub(super) struct Table {
    proto: Proto,
    shows_packets: bool,
    rows: Vec<[String; 8]>,
}

impl Table {
    pub(super) fn new(proto: Proto, shows_packets: bool) -> Self {
        let heads = [
            "file",
            "bytes",
            "carrier",
            "handshake",
            if shows_packets { "packets" } else { "messages" },
            match proto {
                Proto::Sctp => "sent again",
                Proto::Dccp => "repairs",
            },
            "time",
            "goodput",
        ];
        Self {
            proto,
            shows_packets,
            rows: vec![heads.map(str::to_owned)],
        }
    }

    pub(super) fn push(&mut self, fetched: Fetched) {
        self.rows
            .push(fetched.cells(self.proto, self.shows_packets));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = width(column);
                match column {
                    0 => write!(line, "{cell:<width$}")?,
                    _ => write!(line, "  {cell:>width$}")?,
                }
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// What one does with what was left in `output`.
pub(super) fn closing(
    output: &Path,
    protocols: &[Proto],
    folder: &Folder,
    shows_packets: bool,
    loss: u8,
) -> String {
    let count = protocols.len() * folder.items().len();
    let mut text =
        format!("{count} of {count} files arrived as they are on the server, byte for byte.\n\n");
    let mut hint = |what: &str, program: &str, file: &str| {
        let path = output.join(file);
        let path = terminal::printable(path.display().to_string().as_bytes());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what:<26}{program} {path}");
    };
    let (Some(proto), Some(item)) = (protocols.first(), folder.items().first()) else {
        return text;
    };
    let name = name(*proto);
    hint(
        "Open what came:",
        "xdg-open",
        &format!("{name}/{}", item.name),
    );
    if shows_packets {
        hint(
            "Look at the packets:",
            "wireshark",
            &format!("{name}.pcapng"),
        );
    }
    hint("See how the last went:", "xdg-open", &format!("{name}.svg"));
    if shows_packets && loss == 0 {
        text.push_str("Lose packets on the way:  cli demo --loss 5\n");
    }
    text
}
