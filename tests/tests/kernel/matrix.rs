//! Every transport, driver and address family with every kind of answer.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use crate::lab::{Driver, Folder, LOCALHOST, LOCALHOST_V6, Lab, MEDIUM, Proto, RANDOM, Server};
use crate::network::Conditions;
use crate::process::{self, Failure, Running, expect_equal, now, poll};
use crate::suite::{Case, Group, Outcome};

/// The matrix on a network without faults.
pub(crate) fn plain() -> Group {
    let pace = Pace {
        limit: Duration::from_secs(180),
        resumed: RANDOM,
    };
    // One at a time: they are bound by the processor.
    Group {
        name: "matrix",
        network: Conditions::LOOPBACK,
        parallel: 1,
        cases: cases(pace),
    }
}

/// The matrix on a network that loses, delays, reorders and duplicates.
///
/// Loss without correlation: `loss 5% 25%` would lose 0.2 % on this kernel. No jitter: it would
/// reorder within each burst and take a third of the rate that is left to DCCP.
pub(crate) fn netem() -> Group {
    let network = Conditions {
        mtu: 1500,
        netem: Some("delay 20ms loss 5% duplicate 2% reorder 5% 50%"),
    };
    let pace = Pace {
        limit: Duration::from_secs(1000),
        resumed: MEDIUM,
    };
    let mut cases = cases(pace);
    // The long ones take minutes at the rate that such losses leave: they begin first, together.
    cases.sort_by_key(|case| !case.name.ends_with(&Content::Random.to_string()));
    Group {
        name: "matrix-netem",
        network,
        parallel: 16,
        cases,
    }
}

/// What the speed of a network allows.
#[derive(Clone, Copy)]
struct Pace {
    /// The time any one download may take.
    limit: Duration,
    /// A file that takes long enough to be interrupted.
    resumed: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Page,
    Cat,
    Video,
    Random,
    Empty,
    Missing,
    Range,
    Resume,
}

impl Content {
    const ALL: [Self; 8] = [
        Self::Page,
        Self::Cat,
        Self::Video,
        Self::Random,
        Self::Empty,
        Self::Missing,
        Self::Range,
        Self::Resume,
    ];
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Page => "page",
            Self::Cat => "cat",
            Self::Video => "video",
            Self::Random => "64MiB",
            Self::Empty => "empty",
            Self::Missing => "missing",
            Self::Range => "range",
            Self::Resume => "resume",
        })
    }
}

fn cases(pace: Pace) -> Vec<Case> {
    let mut cases = Vec::new();
    for proto in Proto::ALL {
        for driver in Driver::ALL {
            for (family, host) in [("ipv4", LOCALHOST), ("ipv6", LOCALHOST_V6)] {
                for content in Content::ALL {
                    let exchange = Exchange {
                        proto,
                        driver,
                        host,
                        pace,
                    };
                    let name = format!("{proto}/{driver}/{family}/{content}");
                    cases.push(Case::new(name, move |lab| exchange.check(content, lab)));
                }
            }
        }
    }
    cases
}

/// One cell of the matrix, but for its content.
#[derive(Clone, Copy)]
struct Exchange {
    proto: Proto,
    driver: Driver,
    host: IpAddr,
    pace: Pace,
}

impl Exchange {
    fn check(self, content: Content, lab: &Lab) -> Outcome {
        let server = lab.serve(self.proto, self.driver, self.host, &[])?;
        let outcome = match content {
            Content::Page => self.whole(lab, &server, "", "index.html"),
            Content::Cat => self.whole(lab, &server, "cat.png", "cat.png"),
            Content::Video => self.whole(lab, &server, "video.mp4", "video.mp4"),
            Content::Random => self.whole(lab, &server, RANDOM, RANDOM),
            Content::Empty => self.whole(lab, &server, "empty.txt", "empty.txt"),
            Content::Missing => self.missing(lab, &server),
            Content::Range => self.range(lab, &server),
            Content::Resume => self.resume(lab, &server),
        };
        outcome.map_err(|failure| server.explain(failure))
    }

    /// Fetches `path`, which is to be saved as `name`.
    fn whole(self, lab: &Lab, server: &Server, path: &str, name: &str) -> Outcome {
        let folder = lab.folder()?;
        let begin = now();
        let mut get = lab.get(self.proto, self.driver);
        get.arg(server.url(path)).current_dir(folder.path());
        process::run(&mut get, self.pace.limit)?.expect(0)?;
        let seconds = begin.elapsed().as_secs_f64();
        expect_equal(&lab.file(name), &folder.file(name))?;
        expect_names(&folder.names()?, &[name])?;
        let length = fs::metadata(lab.file(name))?.len();
        Ok(match length {
            0..1_000_000 => String::new(),
            _ => format!(
                "{:.0} kB/s",
                f64::from(u32::try_from(length)?) / 1000.0 / seconds
            ),
        })
    }

    fn missing(self, lab: &Lab, server: &Server) -> Outcome {
        let folder = lab.folder()?;
        let mut get = lab.get(self.proto, self.driver);
        get.arg(server.url("missing.html"))
            .current_dir(folder.path());
        process::run(&mut get, self.pace.limit)?.expect(22)?;
        expect_names(&folder.names()?, &[])?;
        Ok(String::new())
    }

    fn range(self, lab: &Lab, server: &Server) -> Outcome {
        let folder = lab.folder()?;
        let mut get = lab.get(self.proto, self.driver);
        get.args(["--range", "1000-1999", "-o", "part"])
            .arg(server.url("video.mp4"));
        process::run(get.current_dir(folder.path()), self.pace.limit)?.expect(0)?;
        let whole = fs::read(lab.file("video.mp4"))?;
        if fs::read(folder.file("part"))? != whole[1000..2000] {
            return Err("bytes 1000 to 1999 arrived as others".into());
        }
        expect_names(&folder.names()?, &["part"])?;
        Ok(String::new())
    }

    /// Interrupts a download, and goes on with what is left of it.
    fn resume(self, lab: &Lab, server: &Server) -> Outcome {
        let name = self.pace.resumed;
        let folder = lab.folder()?;
        // What is kept ends at the first hole: nothing, if the first message of the body is lost.
        let mut kept = 0;
        for _ in 0..5 {
            kept = self.interrupt(lab, server, &folder)?;
            if kept > 0 {
                break;
            }
        }
        let mut get = lab.get(self.proto, self.driver);
        get.args(["-C", "-v"])
            .arg(server.url(name))
            .current_dir(folder.path());
        let second = process::run(&mut get, self.pace.limit)?.expect(0)?;
        expect_equal(&lab.file(name), &folder.file(name))?;
        expect_names(&folder.names()?, &[name])?;
        expect_partial(&second.stderr)?;
        Ok(format!("after {} KiB", kept >> 10))
    }

    /// Begins a download, interrupts it, and returns how many bytes of it are kept.
    fn interrupt(self, lab: &Lab, server: &Server, folder: &Folder) -> Result<u64, Failure> {
        let name = self.pace.resumed;
        let part = folder.file(&format!("{name}.part"));
        let length = || fs::metadata(&part).map_or(0, |part| part.len());
        let mut get = lab.get(self.proto, self.driver);
        get.arg(server.url(name)).current_dir(folder.path());
        let mut get = Running::start(&mut get)?;
        let begun = poll(self.pace.limit, || {
            if length() >= 256 << 10 {
                return Some(Ok(()));
            }
            get.has_ended()
                .then_some(Err("the download ended before it was interrupted"))
        });
        begun.ok_or("no part of the file arrived")??;
        get.signal("INT")?;
        get.wait(Duration::from_secs(20))?.expect(130)?;
        Ok(length())
    }
}

/// Checks that the first answer in the output of `get -v` is a 206.
fn expect_partial(stderr: &str) -> Result<(), Failure> {
    let answer = stderr
        .split("HTTP/1.0 ")
        .find(|rest| rest.starts_with('2'))
        .unwrap_or_default();
    if answer.starts_with("206") {
        return Ok(());
    }
    let lines: Vec<&str> = stderr.lines().take(12).collect();
    let begin = lines.join("\n");
    Err(format!("the download began anew: the first answer was {answer:.3}\n{begin}").into())
}

fn expect_names(found: &[String], expected: &[&str]) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(format!("the folder holds {found:?}, not {expected:?}").into())
}
