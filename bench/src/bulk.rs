//! One large file from a server process to this one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, process};

use crate::children::Server;
use crate::table::{self, Series};
use crate::{Result, clock, ours, peer, quic, tcp, udp};

/// Bytes of the file, and of what the slow stacks are asked for.
const LENGTH: u64 = 256 << 20;
const SHORTER: u64 = 32 << 20;

/// Those stacks.
const SLOW: [&str; 2] = ["dcsctp", "sctp-proto"];

/// Its name.
const FILE: &str = "file.bin";

/// Bytes of a packet: as on Ethernet, and as the loopback interface can have them.
const SEGMENTS: [usize; 2] = [1452, 65_504];

/// Bytes of the largest packets that quinn is compared with.
const MOST_OF_QUINN: usize = 16 << 10;

/// Compares all ways for each size of packet.
pub(crate) fn run(rounds: usize) -> Result<()> {
    let folder = Folder::new()?;
    let file = folder.file(FILE, LENGTH)?;
    let path = file.to_str().ok_or("the folder's name is no text")?;
    for segment in SEGMENTS {
        let words = [path, &segment.to_string()];
        let ours = ours::Server::start(&folder.path, segment)?;
        let bare = Server::start("udp", &[path])?;
        let tcp = Server::start("tcp", &[path])?;
        let quic = quic::Server::start(path, segment, &folder.path)?;
        let others = peer::NAMES.map(|name| Server::start(name, &words));
        let mut series = vec![
            Series::new("GET over SCTP in UDP"),
            Series::new("UDP, GSO, GRO, CRC32c"),
            Series::new("TCP"),
            Series::new("quinn"),
        ];
        series.extend(peer::NAMES.map(|name| Series::new(format!("{name}, no HTTP"))));
        for _ in 0..rounds {
            series[0].push(rate(LENGTH, |length| {
                ours::fetch(&ours, FILE, length, (1, 1), segment).map(drop)
            })?);
            series[1].push(rate(LENGTH, |length| {
                udp::fetch(bare.address, length, segment)
            })?);
            series[2].push(rate(LENGTH, |length| tcp::fetch(tcp.address, length))?);
            // quinn comes to a standstill with packets of the loopback interface's size.
            if segment <= MOST_OF_QUINN {
                series[3].push(rate(LENGTH, |length| quic.fetch(length))?);
            }
            for (index, (name, server)) in peer::NAMES.iter().zip(&others).enumerate() {
                let server = server.as_ref().map_err(ToString::to_string)?;
                let length = if SLOW.contains(name) { SHORTER } else { LENGTH };
                let fetched = rate(length, |length| {
                    peer::fetch(name, server.address, length, segment)
                });
                // That others cannot do it does not end the comparison.
                series[4 + index].push(fetched.unwrap_or_else(|error| {
                    println!("{error}");
                    f64::NAN
                }));
            }
        }
        if segment > MOST_OF_QUINN {
            series.remove(3);
        }
        let title = format!("{} MiB in packets of {segment} bytes", LENGTH >> 20);
        table::print(&title, "MB/s", &series);
    }
    Ok(())
}

/// The rate of one fetch, in MB/s.
fn rate(length: u64, fetch: impl FnOnce(u64) -> Result<()>) -> Result<f64> {
    let begin = clock();
    fetch(length)?;
    Ok(length as f64 / begin.elapsed().as_secs_f64() / 1e6)
}

/// A folder in memory, removed when dropped.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            env::temp_dir()
        };
        let path = parent.join(format!("bench.{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Writes a file of so many bytes.
    pub(crate) fn file(&self, name: &str, length: u64) -> Result<PathBuf> {
        let path = self.path.join(name);
        let mut file = File::create(&path)?;
        let block: Vec<u8> = (0..1 << 20).map(|n: u32| (n * 7 % 251) as u8).collect();
        let mut left = usize::try_from(length)?;
        while left > 0 {
            let piece = left.min(block.len());
            file.write_all(&block[..piece])?;
            left -= piece;
        }
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
