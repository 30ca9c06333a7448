//! Taking a configuration up while the gate runs: whole or not at all, and never what only a restart can do.

use super::file_watch::FileWatch;
use super::serving::Serving;
use crate::admin::command::{ReloadOrder, ReloadOutcome, Reloaded};
use crate::config::changes;
use crate::config::{self, Loaded, Report, Severity};
use crate::platform::clock;
use crate::proxy::managed_login::ManagedLogins;
use crate::proxy::shared::Shared;
use crate::telemetry::audit_event::AuditEvent;
use crate::telemetry::{ReloadResult, application_log};
use crate::text::Lang;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Problems of a refused file that are logged one by one.
const MAX_LOGGED: usize = 10;

/// Largest part of a file that is looked at to see whether it changed.
const MAX_LOOKED_AT: u64 = 8 << 20;

/// What the configuration file and the files that it names held when they were read. Nothing of their content can be
/// told from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentDigest([u8; 32]);

/// Why the configuration is to be read again.
pub(super) enum Wanted {
    /// Somebody said so, and may wait for what comes of it.
    Reload(Option<ReloadOrder>),
    /// Something happened where its files are.
    ReloadIfChanged,
}

/// Reads one configuration file again and again.
pub(super) struct Reloader {
    shared: Arc<Shared>,
    logins: Arc<ManagedLogins>,
    listeners: Vec<Serving>,
    path: PathBuf,
    /// Every file whose content counts, the configuration itself first.
    files: Vec<PathBuf>,
    /// `None` when it has to be read whatever it holds.
    seen: Option<ContentDigest>,
    /// There while the configuration wants it.
    watch: Option<FileWatch>,
    changed: mpsc::Sender<()>,
}

impl Reloader {
    /// For a gate that runs on what `path` held a moment ago. `changed` gets [`Wanted::ReloadIfChanged`].
    pub(super) fn new(
        shared: Arc<Shared>,
        logins: Arc<ManagedLogins>,
        listeners: Vec<Serving>,
        path: PathBuf,
        changed: mpsc::Sender<()>,
    ) -> Self {
        let files = vec![path.clone()];
        Self { shared, logins, listeners, path, files, seen: None, watch: None, changed }
    }

    /// Watches the files from now on if the configuration wants it.
    pub(super) async fn start_to_watch(&mut self) {
        if self.shared.settings.load().server.reload_on_change {
            let (path, known) = (self.path.clone(), self.files.clone());
            if let Ok(read) = tokio::task::spawn_blocking(move || Read::of(&path, known)).await {
                // What is not in force was written since the gate read it, and is to be read again whatever it holds.
                let in_force = read.loaded.is_ok_and(|loaded| {
                    let (_, changes) = changes::take_up(&self.shared.settings.load(), loaded.settings);
                    !changes.has_live() && changes.needs_restart.is_empty()
                });
                self.seen = read.seen.filter(|_| in_force);
                self.files = read.files;
            }
            self.follow();
        }
    }

    pub(super) async fn obey(&mut self, wanted: Wanted) {
        match wanted {
            Wanted::Reload(order) => {
                let reloaded = self.reload().await;
                if let Some(order) = order {
                    // Whoever asked may be gone.
                    let _ = order.send(reloaded);
                }
            }
            Wanted::ReloadIfChanged => {
                self.reload_if_changed().await;
            }
        }
    }

    /// Reads the configuration if its content is another one, or if nothing is known of it.
    async fn reload_if_changed(&mut self) {
        let files = self.files.clone();
        let now = tokio::task::spawn_blocking(move || content(&files)).await.ok();
        if now.is_some() && now == self.seen {
            return;
        }
        self.reload().await;
    }

    /// Reads the configuration, and applies it when it is valid as a whole.
    async fn reload(&mut self) -> Reloaded {
        let (path, known) = (self.path.clone(), self.files.clone());
        let outcome = match tokio::task::spawn_blocking(move || Read::of(&path, known)).await {
            Ok(read) => {
                self.seen = read.seen;
                self.files = read.files;
                match read.loaded {
                    Ok(loaded) => self.take_up(*loaded),
                    Err(report) => ReloadOutcome::Refused(Arc::new(report)),
                }
            }
            // It panicked, which is counted: nothing changes.
            Err(_) => ReloadOutcome::Refused(Arc::default()),
        };
        self.note(&outcome);
        self.follow();
        Reloaded { file: self.path.clone(), outcome }
    }

    fn take_up(&mut self, loaded: Loaded) -> ReloadOutcome {
        let (settings, changes) = changes::take_up(&self.shared.settings.load(), loaded.settings);
        // Also without a change: lines of the file may have moved.
        super::configured::publish(&self.shared, &settings);
        let left = self.shared.tables.adopt(&settings.snapshot, clock::now());
        application_log::set_level(settings.log.level);
        // The listeners in force are those that run, in their order.
        for (serving, listener) in self.listeners.iter_mut().zip(&settings.listeners) {
            serving.take_up(listener, &self.shared.telemetry);
        }
        self.shared.settings.store(Arc::new(settings));
        self.logins.end(left);
        ReloadOutcome::TakenUp(changes, Arc::new(loaded.warnings))
    }

    /// Watches what the configuration names now, or no longer. What happened before a watch began is looked for once.
    fn follow(&mut self) {
        if !self.shared.settings.load().server.reload_on_change {
            self.watch = None;
        } else if self.watch.as_ref().is_none_or(|watch| !watch.covers(&self.files)) {
            self.watch = FileWatch::start(&self.files, self.changed.clone());
            // A full channel says the same already.
            let _ = self.changed.try_send(());
        }
    }

    /// The one place where a reload is written down.
    fn note(&self, outcome: &ReloadOutcome) {
        let metrics = &self.shared.telemetry.metrics;
        match outcome {
            ReloadOutcome::TakenUp(changes, warnings) => {
                metrics.config_taken_up(clock::now().wall, !changes.needs_restart.is_empty());
                let applied = changes.has_live();
                metrics.config_reloads(if applied { ReloadResult::Applied } else { ReloadResult::Unchanged });
                let changed = changes.live_lines().join("; ");
                let warnings = warnings.diagnostics().len();
                tracing::info!(changed, warnings, "configuration reloaded");
                self.shared.telemetry.audit.tell(&AuditEvent::ConfigurationReloaded { warnings });
                if !changes.needs_restart.is_empty() {
                    let settings = changes.restart_lines().join("; ");
                    tracing::warn!(settings, "changed settings that only a restart applies; what was in force stays");
                }
            }
            ReloadOutcome::Refused(report) => {
                metrics.config_refused();
                metrics.config_reloads(ReloadResult::Refused);
                let problems = report.errors();
                tracing::error!(problems, "configuration refused, the old one stays; run check");
                self.shared.telemetry.audit.tell(&AuditEvent::ConfigurationRefused { problems: Some(problems) });
                let errors = report.diagnostics().iter().filter(|problem| problem.severity == Severity::Error);
                for problem in errors.take(MAX_LOGGED) {
                    let (file, line, rule) = (report.file_of(problem), problem.start.line, problem.rule.code());
                    tracing::error!(file, line, rule, "{}", problem.message.in_lang(Lang::En));
                }
            }
        }
    }
}

/// What one reading of the configuration found.
struct Read {
    /// Every file whose content counts, the configuration itself first.
    files: Vec<PathBuf>,
    /// What they held; `None` when they are other files each time.
    seen: Option<ContentDigest>,
    loaded: Result<Box<Loaded>, Report>,
}

impl Read {
    /// The content of the files is taken before they are read: what is written in between is then read twice, and never
    /// missed. When other files are named than the `known` ones, they are read once more for that.
    fn of(path: &Path, known: Vec<PathBuf>) -> Self {
        let seen = content(&known);
        let (files, loaded) = read(path);
        if files == known {
            return Self { files, seen: Some(seen), loaded };
        }
        let seen = content(&files);
        let (again, loaded) = read(path);
        Self { seen: (again == files).then_some(seen), files: again, loaded }
    }
}

/// Reads the configuration, and names every file whose content counts.
fn read(path: &Path) -> (Vec<PathBuf>, Result<Box<Loaded>, Report>) {
    let loaded = config::load(path).map(Box::new);
    let report = loaded.as_ref().map_or_else(|report| report, |loaded| &loaded.warnings);
    (std::iter::once(path.to_owned()).chain(report.files().iter().cloned()).collect(), loaded)
}

/// The names of what is in a folder: another file of consumers may have come, or one may be gone.
fn names_in(folder: &Path) -> [u8; 32] {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    let mut all = Sha256::new();
    for name in names {
        all.update(Sha256::digest(name.as_encoded_bytes()));
    }
    all.finalize().into()
}

fn content(files: &[PathBuf]) -> ContentDigest {
    use std::io::Read;
    let mut all = Sha256::new();
    for file in files {
        if file.is_dir() {
            all.update(names_in(file));
            continue;
        }
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        let read = std::fs::File::open(file).and_then(|open| open.take(MAX_LOOKED_AT).read_to_end(&mut bytes));
        // One that cannot be read is another content than an empty one.
        all.update([u8::from(read.is_ok())]);
        all.update(Sha256::digest(bytes.as_slice()));
    }
    ContentDigest(all.finalize().into())
}
