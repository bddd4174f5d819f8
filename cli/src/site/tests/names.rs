//! Which file a target leads to, and which never.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::machine::Disposition;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::{Reply, SECRET, World, get, site};
use crate::site::{DigestConfig, Root};

#[test]
fn files_are_served_under_their_names() {
    let world = World::new();
    let names = [
        ("/a%20file%20with%20spaces.txt", "a file with spaces.txt"),
        ("/gr%C3%B6%C3%9Fe.txt", "größe.txt"),
        ("/%E6%97%A5%E6%9C%AC%E8%AA%9E.txt", "日本語.txt"),
        ("/100%25.txt", "100%.txt"),
        ("/deep/er/file", "deep/er/file"),
        ("//deep/./er/file?query", "deep/er/file"),
        ("/a+b&c.txt", "a+b&c.txt"),
        ("/hello", "hello"),
    ];
    for (target, name) in names {
        world.file(name, name);
        for site in world.sites() {
            let reply = get(&site, target);
            assert_eq!(reply.status, 200, "{target}");
            assert_eq!(reply.body, name.as_bytes(), "{target}");
            assert_eq!(reply.end, Disposition::Close);
        }
    }
}

#[test]
fn hp26_a_folder_is_its_index() {
    let world = World::new();
    world.file("folder/index.html", "index");
    world.file("bare/note.txt", "note");
    world.file("odd/index.html/note.txt", "note");
    for site in world.sites() {
        assert_eq!(get(&site, "/folder/").body, b"index");
        let moved = get(&site, "/folder?a=1");
        assert_eq!(moved.status, 301);
        assert_eq!(moved.field("Location"), Some("/folder/?a=1"));
        assert_eq!(get(&site, "/bare").status, 301);
        assert_eq!(get(&site, "/bare/").status, 404);
        assert_eq!(get(&site, "/odd/").status, 404);
        assert_eq!(get(&site, "/").status, 404);
    }
    world.file("index.html", "root");
    assert_eq!(get(&world.site(), "/").body, b"root");
}

#[test]
fn hp26_a_file_is_no_folder() {
    let world = World::new();
    world.file("note.txt", "note");
    for site in world.sites() {
        for target in [
            "/note.txt/",
            "/note.txt/x",
            "/note.txt/.",
            "/none",
            "/none/",
        ] {
            assert_eq!(get(&site, target).status, 404, "{target}");
        }
        let long = format!("/{}", "n".repeat(300));
        assert_eq!(get(&site, &long).status, 404);
        let deep = "/n".repeat(3000);
        assert_eq!(get(&site, &deep).status, 404);
    }
}

#[test]
fn nothing_outside_the_root_is_served() {
    let world = World::new();
    world.file("a/index.html", "a");
    world.file(".git/config", SECRET);
    let targets = [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/a/%2e./secret.txt",
        "/a/../../secret.txt",
        "/a/..",
        "//etc/passwd",
        "/\\..\\secret.txt",
        "/%5c../secret.txt",
        "/secret.txt%00.html",
        "/.git/config",
        "/%2egit/config",
        "/a/%2e%2e/%2e%2e/secret.txt",
        "/..",
        "/.%2e/",
        "/etc/passwd",
        "http://host/../secret.txt",
    ];
    for site in world.sites() {
        for target in targets {
            let reply = get(&site, target);
            assert!(
                matches!(reply.status, 400 | 404),
                "{target}: {}",
                reply.status
            );
            let body = String::from_utf8_lossy(&reply.body);
            assert!(
                !body.contains(SECRET) && !body.contains("root:"),
                "{target}"
            );
        }
    }
}

#[test]
fn hp25_no_link_is_followed() {
    let world = World::new();
    world.file("folder/inside.txt", "inside");
    let links = [
        ("../secret.txt", "out"),
        ("/etc/passwd", "far"),
        ("..", "up"),
        ("/", "root"),
        ("folder/inside.txt", "in"),
        ("folder", "folder2"),
        ("loop", "loop"),
        ("nowhere", "dangling"),
    ];
    for (to, name) in links {
        symlink(to, world.path(name)).unwrap();
    }
    for site in world.sites() {
        assert_eq!(get(&site, "/folder/inside.txt").status, 200);
        for target in [
            "/out",
            "/far",
            "/up",
            "/up/",
            "/up/secret.txt",
            "/root/etc/passwd",
            "/in",
            "/folder2",
            "/folder2/",
            "/folder2/inside.txt",
            "/loop",
            "/dangling",
        ] {
            assert_eq!(get(&site, target).status, 404, "{target}");
        }
    }
}

#[test]
fn a_root_that_is_a_link_is_what_the_operator_wants() {
    let world = World::new();
    world.file("note.txt", "note");
    let link = world.folder.path().join("link");
    symlink("www", &link).unwrap();
    let site = site(Root::open(&link).unwrap(), DigestConfig::default());
    fs::remove_file(&link).unwrap();
    assert_eq!(get(&site, "/note.txt").body, b"note");
}

#[test]
fn hp25_a_folder_that_becomes_a_link_meanwhile_leads_nowhere() {
    let world = World::new();
    world.file("folder/sub/secret.txt", "inside");
    let outside = world.folder.path().join("outside/sub");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret.txt"), SECRET).unwrap();
    let (folder, link) = (world.path("folder"), world.path("link"));
    symlink("../outside", &link).unwrap();
    for site in world.sites() {
        let over = AtomicBool::new(false);
        let (mut found, mut missing) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                }
            });
            for _ in 0..20_000 {
                match get(&site, "/folder/sub/secret.txt") {
                    Reply {
                        status: 200, body, ..
                    } if body == b"inside" => found += 1,
                    Reply { status: 404, .. } => missing += 1,
                    reply => {
                        over.store(true, Ordering::Relaxed);
                        panic!("{reply:?}");
                    }
                }
                if found > 500 && missing > 500 {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(found > 0, "{missing} times missing");
    }
}

#[test]
fn hp26_what_is_no_file_is_forbidden_and_does_not_block() {
    let world = World::new();
    mknodat(CWD, world.path("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listener = UnixListener::bind(world.path("socket")).unwrap();
    for site in world.sites() {
        for target in ["/fifo", "/socket"] {
            assert_eq!(get(&site, target).status, 403, "{target}");
        }
        for target in ["/fifo/", "/socket/x"] {
            assert_eq!(get(&site, target).status, 404, "{target}");
        }
    }
    let devices = site(
        Root::open("/dev".as_ref()).unwrap(),
        DigestConfig::default(),
    );
    assert_eq!(get(&devices, "/null").status, 403);
}

#[test]
fn hp26_what_may_not_be_read_is_forbidden() {
    let world = World::new();
    let file = world.file("folder/file", "content");
    let folder = world.path("folder");
    let deny = |path| fs::set_permissions(path, PermissionsExt::from_mode(0o000)).unwrap();
    deny(&file);
    if File::open(&file).is_ok() {
        eprintln!("skipped: this user may read everything (root?)");
        return;
    }
    for site in world.sites() {
        assert_eq!(get(&site, "/folder/file").status, 403);
    }
    deny(&folder);
    for site in world.sites() {
        assert_eq!(get(&site, "/folder/file").status, 403);
    }
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn a_folder_that_may_be_passed_but_not_read_is_passed() {
    let world = World::new();
    world.file("folder/file", "content");
    let folder = world.path("folder");
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o300)).unwrap();
    for site in world.sites() {
        assert_eq!(get(&site, "/folder/file").body, b"content");
    }
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
}
