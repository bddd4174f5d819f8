//! Programs that we did not write: the course project's four, and curl under `withsctp`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Driver, Folder, LOCALHOST, Lab, Proto, Server};
use crate::network::Conditions;
use crate::process::{self, Failure, expect_equal};
use crate::suite::{Case, Group, Outcome};

const LIMIT: Duration = Duration::from_secs(60);

/// The service code of the course project's programs, which their server alone accepts.
const SEED_SERVICE_CODE: &str = "16777216";

/// All pairs of the course project's programs and ours, and curl with our server.
pub(crate) fn group() -> Group {
    let pairings: [(&str, Check); 6] = [
        ("cli-from-seed-page", Ours::gets_page_from_seed),
        ("cli-from-seed-picture", Ours::gets_picture_from_seed),
        ("cli-from-seed-missing", Ours::finds_nothing_at_seed),
        ("cli-from-cli-seed-form", Ours::gets_page_from_itself),
        ("seed-from-cli-page", Ours::gives_page_to_seed),
        ("seed-from-cli-missing", Ours::gives_nothing_to_seed),
    ];
    let curls: [(&str, Check); 3] = [
        ("curl-page", |ours, lab| {
            ours.gives_to_curl(lab, &[], "index.html")
        }),
        ("curl-picture", |ours, lab| {
            ours.gives_to_curl(lab, &[], "cat.png")
        }),
        ("curl-range", |ours, lab| {
            ours.gives_to_curl(lab, &["-r", "100-199"], "cat.png")
        }),
    ];
    let mut cases = Vec::new();
    for proto in Proto::ALL {
        // The control: the pairings test our programs only if these two understand each other.
        cases.push(Case::new(format!("{proto}/seed-from-seed"), move |lab| {
            seed_client_gets_page(lab, proto, &lab.seed_server(proto, &[])?)
        }));
        for driver in Driver::ALL {
            let ours = Ours { proto, driver };
            let curls = if proto == Proto::Sctp {
                &curls[..]
            } else {
                &[]
            };
            for &(name, check) in pairings.iter().chain(curls) {
                let name = format!("{proto}/{driver}/{name}");
                cases.push(Case::new(name, move |lab| check(ours, lab)));
            }
        }
    }
    Group {
        name: "peers",
        network: Conditions::LOOPBACK,
        parallel: 1,
        cases,
    }
}

/// Our client or server.
#[derive(Clone, Copy)]
struct Ours {
    proto: Proto,
    driver: Driver,
}

type Check = fn(Ours, &Lab) -> Outcome;

impl Ours {
    fn gets_page_from_seed(self, lab: &Lab) -> Outcome {
        let server = lab.seed_server(self.proto, &[])?;
        self.gets(lab, &server, "", "index.html")
    }

    fn gets_picture_from_seed(self, lab: &Lab) -> Outcome {
        let server = lab.seed_server(self.proto, &["--bytes"])?;
        self.gets(lab, &server, "cat.png", "cat.png")
    }

    fn finds_nothing_at_seed(self, lab: &Lab) -> Outcome {
        let server = lab.seed_server(self.proto, &[])?;
        let folder = lab.folder()?;
        let mut get = self.get_command(lab);
        get.arg(server.url("missing.html"))
            .current_dir(folder.path());
        run_to(22, &mut get, &server)?;
        expect_empty(&folder)
    }

    fn gets_page_from_itself(self, lab: &Lab) -> Outcome {
        self.gets(lab, &self.serve(lab)?, "", "index.html")
    }

    fn gives_page_to_seed(self, lab: &Lab) -> Outcome {
        seed_client_gets_page(lab, self.proto, &self.serve(lab)?)
    }

    /// The course project's client looks for the words `Not Found` in the body; ours has them.
    fn gives_nothing_to_seed(self, lab: &Lab) -> Outcome {
        let server = self.serve(lab)?;
        let folder = lab.folder()?;
        let mut client = lab.seed_client(self.proto, &server);
        client
            .args(["--path", "/missing.html"])
            .current_dir(folder.path());
        run_to(0, &mut client, &server)?;
        expect_empty(&folder)
    }

    fn gives_to_curl(self, lab: &Lab, arguments: &[&str], name: &str) -> Outcome {
        let server = self.serve(lab)?;
        let folder = lab.folder()?;
        let path = if name == "index.html" { "" } else { name };
        let mut curl = Command::new("withsctp");
        curl.args(["curl", "-sS", "--fail", "--max-time", "30", "-o", "out"])
            .args(arguments)
            .arg(server.url(path))
            .current_dir(folder.path());
        run_to(0, &mut curl, &server)?;
        let whole = fs::read(lab.file(name))?;
        let expected = if arguments.is_empty() {
            &whole[..]
        } else {
            &whole[100..200]
        };
        let found = fs::read(folder.file("out"))?;
        if found != expected {
            let (found, expected) = (found.len(), expected.len());
            return Err(format!("{found} bytes arrived, of {expected}, or others").into());
        }
        Ok(format!("{} bytes", found.len()))
    }

    fn serve(self, lab: &Lab) -> Result<Server, Failure> {
        lab.serve(self.proto, self.driver, LOCALHOST, &[])
    }

    /// Our client as the course project's server understands it.
    fn get_command(self, lab: &Lab) -> Command {
        let mut get = lab.get(self.proto, self.driver);
        get.arg("--seed-form");
        if self.proto == Proto::Dccp {
            // No length in the head, and no end that proves anything: the client would say so.
            get.args(["--service-code", SEED_SERVICE_CODE, "--allow-unverified"]);
        }
        get
    }

    fn gets(self, lab: &Lab, server: &Server, path: &str, name: &str) -> Outcome {
        let folder = lab.folder()?;
        let mut get = self.get_command(lab);
        get.arg(server.url(path)).current_dir(folder.path());
        run_to(0, &mut get, server)?;
        expect_equal(&lab.file(name), &folder.file(name))?;
        Ok(String::new())
    }
}

fn seed_client_gets_page(lab: &Lab, proto: Proto, server: &Server) -> Outcome {
    let folder = lab.folder()?;
    let mut client = lab.seed_client(proto, server);
    run_to(0, client.current_dir(folder.path()), server)?;
    expect_equal(&lab.file("index.html"), &folder.file("out.html"))?;
    Ok(String::new())
}

/// Runs a client of `server`, which is to end with exit code `code`.
fn run_to(code: i32, client: &mut Command, server: &Server) -> Result<(), Failure> {
    let ended = process::run(client, LIMIT).and_then(|client| client.expect(code));
    ended.map(drop).map_err(|failure| server.explain(failure))
}

fn expect_empty(folder: &Folder) -> Outcome {
    match folder.names()?.as_slice() {
        [] => Ok(String::new()),
        names => Err(format!("{names:?} were written").into()),
    }
}
