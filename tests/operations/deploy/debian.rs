//! The .deb, installed, upgraded, removed and purged by dpkg in a root of its own: `make test-deb` builds it and names
//! it.

use crate::{run, source};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An empty system that knows root and nobody else. Maintainer scripts run outside of it and are told where it is
/// (`DPKG_ROOT`).
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["etc", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        std::fs::write(root.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        std::fs::write(root.path().join("etc/group"), "root:x:0:\n").unwrap();
        Self(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn dpkg(&self, arguments: &[&str]) {
        let root = format!("--root={}", self.0.path().display());
        // What it depends on is not in that root; the scripts use this system's.
        let force = ["--force-depends", "--force-script-chrootless", "--force-not-root"];
        run(Command::new("dpkg").arg(root).args(force).args(arguments));
    }

    fn exists(&self, path: &str) -> bool {
        std::fs::symlink_metadata(self.path(path)).is_ok()
    }

    fn users(&self) -> String {
        std::fs::read_to_string(self.path("etc/passwd")).unwrap()
    }
}

const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/sensgate.service";

#[test]
#[ignore = "make test-deb, which builds the package"]
#[allow(clippy::disallowed_methods, reason = "a test may read its environment")]
fn it_is_installed_upgraded_removed_and_purged() {
    let package =
        source(&std::env::var_os("SENSGATE_DEB").expect("make test-deb names the package").into_string().unwrap());
    let package = package.to_str().unwrap();
    let root = Root::new();

    root.dpkg(&["--install", package]);
    run(Command::new(root.path("usr/bin/sensgate")).arg("version"));
    assert!(root.exists("usr/lib/systemd/system/sensgate.service") && root.exists(ENABLED));
    assert!(root.exists("etc/logrotate.d/sensgate"));
    assert!(root.users().contains("\nsensgate:"), "{}", root.users());
    let config = std::fs::metadata(root.path("etc/sensgate")).unwrap();
    let id: u32 = root
        .users()
        .lines()
        .find_map(|line| line.strip_prefix("sensgate:x:")?.split(':').next()?.parse().ok())
        .unwrap();
    assert_eq!((config.permissions().mode() & 0o777, config.uid()), (0o750, id));
    assert!(!root.exists("etc/sensgate/sensgate.toml"), "nothing to start with: the unit's condition does not hold");

    // What the admin wrote, and what the gate did.
    std::fs::write(root.path("etc/sensgate/sensgate.toml"), "mine").unwrap();
    std::fs::write(root.path("etc/logrotate.d/sensgate"), "mine too").unwrap();
    for state in ["var/lib/sensgate/secret", "var/log/sensgate/access.log"] {
        std::fs::create_dir_all(root.path(state).parent().unwrap()).unwrap();
        std::fs::write(root.path(state), "kept").unwrap();
    }
    let read = |path: &str| std::fs::read_to_string(root.path(path)).unwrap();
    root.dpkg(&["--force-confold", "--install", package]);
    assert_eq!(
        (read("etc/sensgate/sensgate.toml"), read("etc/logrotate.d/sensgate")),
        ("mine".into(), "mine too".into())
    );

    root.dpkg(&["--remove", "sensgate"]);
    assert!(!root.exists("usr/bin/sensgate"));
    assert_eq!((read("etc/sensgate/sensgate.toml"), read("var/lib/sensgate/secret")), ("mine".into(), "kept".into()));

    root.dpkg(&["--purge", "sensgate"]);
    for gone in ["etc/sensgate", "etc/logrotate.d/sensgate", "var/lib/sensgate", "var/log/sensgate", ENABLED] {
        assert!(!root.exists(gone), "{gone}");
    }
    assert!(!root.users().contains("sensgate"), "{}", root.users());
    assert_eq!(units(&root.path("etc/systemd")), Vec::<PathBuf>::new(), "no mask is left");
}

/// Everything but folders below `folder`.
fn units(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| if entry.file_type().unwrap().is_dir() { units(&entry.path()) } else { vec![entry.path()] })
        .collect()
}
