//! Clients that do not behave, and a server that stops.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Driver, LOCALHOST, Lab, Proto, RANDOM, Server};
use crate::network::Conditions;
use crate::process::{self, Running, expect_equal, poll};
use crate::suite::{Case, Group, Outcome};

const LIMIT: Duration = Duration::from_secs(90);

/// A cell of the small matrix of this group.
#[derive(Clone, Copy)]
struct Cell {
    proto: Proto,
    driver: Driver,
}

type Check = fn(Cell, &Lab) -> Outcome;

/// Each ill behaviour over each protocol and with each driver.
pub(crate) fn group() -> Group {
    let checks: [(&str, Check); 6] = [
        ("junk-after-request", Cell::junk_after_request),
        ("slow-senders", Cell::slow_senders),
        ("connection-limit", Cell::connection_limit),
        ("connection-limit-of-one-peer", Cell::peer_limit),
        ("another-user", Cell::another_user),
        ("stop-during-transfer", Cell::stop_during_transfer),
    ];
    let mut cases = Vec::new();
    for proto in Proto::ALL {
        for driver in Driver::ALL {
            let cell = Cell { proto, driver };
            for (name, check) in checks {
                cases.push(Case::new(format!("{proto}/{driver}/{name}"), move |lab| {
                    check(cell, lab)
                }));
            }
        }
    }
    Group {
        name: "limits",
        network: Conditions::LOOPBACK,
        parallel: 1,
        cases,
    }
}

impl Cell {
    fn serve(self, lab: &Lab, options: &[&str]) -> Result<Server, process::Failure> {
        lab.serve(self.proto, self.driver, LOCALHOST, options)
    }

    /// A Python program that gets the protocol and the server's address.
    fn peer(self, lab: &Lab, name: &str, server: &Server) -> Command {
        let mut command = lab.python(name);
        command
            .arg(self.proto.to_string())
            .arg(server.address.ip().to_string())
            .arg(server.address.port().to_string());
        command
    }

    fn get_page(
        self,
        lab: &Lab,
        server: &Server,
        options: &[&str],
    ) -> Result<Option<i32>, process::Failure> {
        let folder = lab.folder()?;
        let mut get = lab.get(self.proto, self.driver);
        get.args(options)
            .arg(server.url(""))
            .current_dir(folder.path());
        Ok(process::run(&mut get, LIMIT)?.code())
    }

    /// A server that closes while it has not read all destroys its own answer (sctp: ABORT, dccp:
    /// Reset): the client must get it whole all the same.
    fn junk_after_request(self, lab: &Lab) -> Outcome {
        let server = self.serve(lab, &[])?;
        let mut peer = self.peer(lab, "junk_after_request.py", &server);
        let answer = process::run(&mut peer, LIMIT)
            .and_then(|peer| peer.expect(0))
            .map_err(|failure| server.explain(failure))?
            .stdout;
        let page = fs::read(lab.file("index.html"))?;
        if !answer.starts_with(b"HTTP/1.0 200 ") || !answer.ends_with(&page) {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            return Err(server.explain(format!("not the whole page:\n{answer}").into()));
        }
        Ok(String::new())
    }

    /// Clients that send a byte at a time, or nothing, are sent away and keep nobody waiting.
    fn slow_senders(self, lab: &Lab) -> Outcome {
        let server = self.serve(lab, &["--request-timeout", "3"])?;
        let mut peer = Running::start(&mut self.peer(lab, "slow_senders.py", &server))?;
        peer.wait_for("sending", LIMIT)?;
        let code = self.get_page(lab, &server, &["--retries", "0", "--max-time", "2"])?;
        if code != Some(0) {
            return Err(
                server.explain(format!("meanwhile another client ended with {code:?}").into())
            );
        }
        let peer = peer
            .wait(LIMIT)?
            .expect(0)
            .map_err(|failure| server.explain(failure))?;
        Ok(String::from_utf8_lossy(&peer.stdout)
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned())
    }

    /// One client too many waits or is refused; as soon as there is room, it is served.
    fn connection_limit(self, lab: &Lab) -> Outcome {
        self.one_too_many(lab, "--max-connections")
    }

    /// The same where the limit is that of one address: the connection is accepted, and aborted.
    fn peer_limit(self, lab: &Lab) -> Outcome {
        self.one_too_many(lab, "--max-connections-per-peer")
    }

    /// A server that gave up root accepts and reads on what root opened.
    fn another_user(self, lab: &Lab) -> Outcome {
        let server = self.serve(lab, &["--user", "65534:65533"])?;
        let status = fs::read_to_string(format!("/proc/{}/status", server.process.id()))?;
        if !status.contains("Uid:\t65534\t65534\t65534\t65534\n") {
            return Err(server.explain(status.into()));
        }
        for _ in 0..2 {
            let code = self.get_page(lab, &server, &["--retries", "0", "--max-time", "60"])?;
            if code != Some(0) {
                return Err(server.explain(format!("a client ended with {code:?}").into()));
            }
        }
        Ok(String::new())
    }

    fn one_too_many(self, lab: &Lab, limit: &str) -> Outcome {
        let server = self.serve(lab, &[limit, "4", "--request-timeout", "300"])?;
        let mut holder = Running::start(self.peer(lab, "hold_connections.py", &server).arg("4"))?;
        holder.wait_for("holding", LIMIT)?;
        let refused = self.get_page(lab, &server, &["--retries", "0", "--max-time", "3"])?;
        if refused == Some(0) {
            return Err(server.explain("a fifth connection was served".into()));
        }
        drop(holder);
        let options = ["--retries", "0", "--max-time", "5"];
        let served = poll(LIMIT, || {
            let code = self.get_page(lab, &server, &options);
            matches!(code, Ok(Some(0))).then_some(())
        });
        served
            .ok_or_else(|| server.explain("no client is served when there is room again".into()))?;
        Ok(format!(
            "the fifth client ended with exit code {}",
            refused.unwrap_or(-1)
        ))
    }

    /// SIGTERM: the running transfer ends as it should, and the server with it.
    fn stop_during_transfer(self, lab: &Lab) -> Outcome {
        let server = self.serve(lab, &["--grace", "60"])?;
        let folder = lab.folder()?;
        let part = folder.file(&format!("{RANDOM}.part"));
        let mut get = lab.get(self.proto, self.driver);
        let get = Running::start(get.arg(server.url(RANDOM)).current_dir(folder.path()))?;
        poll(LIMIT, || {
            fs::metadata(&part).ok().filter(|part| part.len() > 0)
        })
        .ok_or("nothing arrives")?;
        server.process.signal("TERM")?;
        get.wait(LIMIT)
            .and_then(|get| get.expect(0))
            .and_then(|_| expect_equal(&lab.file(RANDOM), &folder.file(RANDOM)))
            .map_err(|failure| server.explain(failure))?;
        server.process.wait(LIMIT)?;
        Ok(String::new())
    }
}
