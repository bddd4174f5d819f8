//! One large file from a server process to this one.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use crate::children::Server;
use crate::table::{self, Series};
use crate::{Result, clock, ours, tcp, udp};

/// Bytes of the file.
const LENGTH: u64 = 256 << 20;

/// Its name.
const FILE: &str = "file.bin";

/// Bytes of a packet: as on Ethernet, and as the loopback interface can have them.
const SEGMENTS: [usize; 2] = [1400, 65000];

/// Compares all ways for each size of packet.
pub(crate) fn run(rounds: usize) -> Result<()> {
    let folder = Folder::new()?;
    let file = folder.file(LENGTH)?;
    let path = file.to_str().ok_or("the folder's name is no text")?;
    for segment in SEGMENTS {
        let bare = Server::start("udp", &[path])?;
        let tcp = Server::start("tcp", &[path])?;
        let ours = ours::Server::start(&folder.path, segment)?;
        let mut competitors = [
            Competitor::new("DCCP in UDP"),
            Competitor::new("UDP, GSO and GRO"),
            Competitor::new("TCP"),
        ];
        for _ in 0..rounds {
            let [with_dccp, with_udp, with_tcp] = &mut competitors;
            with_dccp.run(ours.process(), || {
                ours::fetch(&ours, FILE, LENGTH, segment).map(drop)
            })?;
            with_udp.run(&bare, || udp::fetch(bare.address, LENGTH, segment))?;
            with_tcp.run(&tcp, || tcp::fetch(tcp.address, LENGTH))?;
        }
        let title = format!("{} MiB in packets of {segment} bytes", LENGTH >> 20);
        let (rates, costs): (Vec<Series>, Vec<Series>) = competitors
            .into_iter()
            .map(|competitor| (competitor.rate, competitor.cost))
            .unzip();
        table::print(&title, "MB/s", &rates);
        table::print("its processor time, both ends", "s/GiB", &costs);
    }
    Ok(())
}

/// What one way reached, and what that cost.
struct Competitor {
    rate: Series,
    cost: Series,
}

impl Competitor {
    fn new(name: &str) -> Self {
        Self {
            rate: Series::new(name),
            cost: Series::new(name),
        }
    }

    /// Measures one fetch.
    fn run(&mut self, server: &Server, fetch: impl FnOnce() -> Result<()>) -> Result<()> {
        let (begin, before) = (clock(), server.processor_time()?);
        fetch()?;
        let (took, after) = (begin.elapsed(), server.processor_time()?);
        let length = LENGTH as f64;
        self.rate.push(length / took.as_secs_f64() / 1e6);
        self.cost
            .push((after - before) / length * f64::from(1 << 30));
        Ok(())
    }
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
    pub(crate) fn file(&self, length: u64) -> Result<PathBuf> {
        let path = self.path.join(FILE);
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
