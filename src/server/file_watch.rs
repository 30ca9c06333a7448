//! Notices that the configuration, or a file that it names, may have changed.
//!
//! The directories are watched and not the files: an editor renames a new file over the old one, and an orchestrator
//! turns a symbolic link. Whether the content is another one is for the reloader to see.

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How long nothing may happen before the files are looked at: editors write in several steps.
const QUIET: Duration = Duration::from_millis(500);

/// The longest that they are not looked at while something keeps happening.
const AT_MOST: Duration = Duration::from_secs(5);

/// Watches until it is dropped.
pub(super) struct FileWatch {
    _watcher: RecommendedWatcher,
    settling: tokio::task::JoinHandle<()>,
    folders: BTreeSet<PathBuf>,
    names: BTreeSet<OsString>,
}

impl FileWatch {
    /// Sends into `changed` each time that something happened around `files` and is over. A watch that cannot be had is
    /// said, and is `None`: the gate runs on, and `reload` still works.
    pub(super) fn start(files: &[PathBuf], changed: mpsc::Sender<()>) -> Option<Self> {
        let folders = folders(files);
        let names = names(files);
        let ours = names.clone();
        // One message is enough: it says that there is something to look at.
        let (happened, happenings) = mpsc::channel(1);
        let note = move |event: notify::Result<Event>| {
            if event.map_or(true, |event| concerns(&event, &ours)) {
                let _ = happened.try_send(());
            }
        };
        let mut watcher = RecommendedWatcher::new(note, Config::default())
            .inspect_err(|error| tracing::warn!(%error, "changes of the configuration cannot be watched"))
            .ok()?;
        for folder in &folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "changes in this folder cannot be watched");
            }
        }
        Some(Self { _watcher: watcher, settling: tokio::spawn(settle(happenings, changed)), folders, names })
    }

    /// True when these files are watched already.
    pub(super) fn covers(&self, files: &[PathBuf]) -> bool {
        self.folders == folders(files) && self.names == names(files)
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.settling.abort();
    }
}

fn names(files: &[PathBuf]) -> BTreeSet<OsString> {
    files.iter().filter_map(|file| Some(file.file_name()?.to_owned())).collect()
}

/// The folders of the files, and of what they are links to. Of a folder that is named itself, what is in it counts.
fn folders(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let parent = |file: &Path| match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("/"),
    };
    let linked = files.iter().filter_map(|file| std::fs::canonicalize(file).ok());
    let named = files.iter().filter(|file| file.is_dir()).cloned();
    files.iter().map(|file| parent(file)).chain(linked.map(|file| parent(&file))).chain(named).collect()
}

/// False for what cannot have changed one of the files: somebody reads one, us among them, or another one is written
/// to, such as a log.
fn concerns(event: &Event, names: &BTreeSet<OsString>) -> bool {
    let about_ours = || event.paths.iter().any(|path| path.file_name().is_some_and(|name| names.contains(name)));
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Data(_)) => {
            about_ours()
        }
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Waits until what happens is over.
async fn settle(mut happenings: mpsc::Receiver<()>, changed: mpsc::Sender<()>) {
    while happenings.recv().await.is_some() {
        let latest = Instant::now() + AT_MOST;
        while let Ok(Some(())) = timeout_at((Instant::now() + QUIET).min(latest), happenings.recv()).await {
            if Instant::now() >= latest {
                break;
            }
        }
        // A full channel says the same already.
        let _ = changed.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, RenameMode};

    #[test]
    fn reading_and_other_peoples_logs_are_no_change() {
        let names = BTreeSet::from([OsString::from("sensgate.toml")]);
        let concerns = |kind, path: &str| concerns(&Event::new(kind).add_path(path.into()), &names);
        let (ours, log) = ("/etc/sensgate/sensgate.toml", "/etc/sensgate/access.log");
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for (kind, path, expected) in [
            (written, ours, true),
            (written, log, false),
            (data, ours, true),
            (data, log, false),
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), ours, false),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), ours, false),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), "/etc/sensgate/..data", true),
            (EventKind::Create(CreateKind::File), "/etc/sensgate/8sens-api-key", true),
        ] {
            assert_eq!(concerns(kind, path), expected, "{kind:?} {path}");
        }
    }

    #[test]
    fn folders_of_files_and_of_what_they_link_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::fs::write(root.join("real/a.toml"), "").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.join("real/a.toml"), root.join("a.toml")).unwrap();
        #[cfg(unix)]
        assert_eq!(folders(&[root.join("a.toml")]), BTreeSet::from([root.clone(), root.join("real")]));
        assert_eq!(folders(&["none.toml".into()]), BTreeSet::from([PathBuf::from(".")]));
    }
}
