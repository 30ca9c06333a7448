//! The application log: what the process has to say, on stderr, one line per event.
//!
//! There is no way to see less severe lines than `info`: Pingora's debug lines show header values. Pingora itself is
//! heard from `warn` on. `RUST_LOG` is not read.

use crate::config::LogLevel;
use std::fmt::{self, Write};
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

/// Every crate of Pingora logs under a target that begins so.
const PINGORA: &str = "pingora";

/// The filter of the log that was started, for as long as the process lives.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Starts the application log of this process, with colours when stderr is a terminal and `NO_COLOR` is not set. Lines
/// of the `log` crate are included. A second call changes nothing.
pub fn init(level: LogLevel) {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = io::stderr().is_terminal() && !no_color;
    let (subscriber, filter) = subscriber(level, ansi, io::stderr);
    // An error says that a log was started before.
    if subscriber.try_init().is_ok() {
        let _ = FILTER.set(filter);
    }
}

/// Changes the level of the log that [`init`] started; without one, nothing happens.
pub fn set_level(level: LogLevel) {
    let Some(filter) = FILTER.get() else { return };
    // Only a dropped subscriber is an error, and that one lives as long as the process.
    if filter.reload(targets(level)).is_ok() {
        // The `log` crate asks a limit of its own before it asks the filter.
        log::set_max_level(match level {
            LogLevel::Error => log::LevelFilter::Error,
            LogLevel::Warn => log::LevelFilter::Warn,
            LogLevel::Info => log::LevelFilter::Info,
        });
    }
}

fn subscriber<W>(
    level: LogLevel,
    ansi: bool,
    out: W,
) -> (impl Subscriber + Send + Sync, reload::Handle<Targets, Registry>)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = tracing_subscriber::fmt::layer().with_ansi(ansi).fmt_fields(fields()).with_writer(out);
    (tracing_subscriber::registry().with(filter).with(lines), handle)
}

fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
    };
    Targets::new().with_default(level).with_target(PINGORA, level.min(LevelFilter::WARN))
}

/// Writes the message and `name=value` for the other fields. The formatter's own fields keep line feeds, and escapes of
/// `%` values.
fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    debug_fn(|out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| match field.name() {
        "message" => write!(Escaped(out), "{value:?}"),
        // Where a line of the `log` crate comes from; the target says it.
        name if name.starts_with("log.") => Ok(()),
        name => write!(Escaped(out), " {name}={value:?}"),
    })
}

/// Escapes every control character, so that an event is one line and moves no terminal.
struct Escaped<'o, 'w>(&'o mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use tracing::subscriber::with_default;

    #[derive(Clone, Default)]
    struct Capture(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Capture {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `events` runs.
    fn written(level: LogLevel, ansi: bool, events: impl FnOnce()) -> String {
        let capture = Capture::default();
        let out = capture.clone();
        with_default(subscriber(level, ansi, move || out.clone()).0, events);
        String::from_utf8(std::mem::take(&mut *capture.0.lock())).unwrap()
    }

    fn bridged(target: &str, level: log::Level, message: &str) {
        let record = |args| {
            let record = log::Record::builder().target(target).level(level).args(args).build();
            tracing_log::format_trace(&record).unwrap();
        };
        record(format_args!("{message}"));
    }

    const HOSTILE: &str = "a\nb\r\tc\x1b[31md\x07e\x00f\x7fg\u{9b}h\u{85}i";

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        for ansi in [false, true] {
            let line = written(LogLevel::Info, ansi, || {
                tracing::info!(field = HOSTILE, shown = %HOSTILE, "{HOSTILE}");
                bridged("other_crate", log::Level::Info, HOSTILE);
            });
            assert_eq!(line.matches('\n').count(), 2, "{line:?}");
            let foreign = |c: char| c.is_control() && c != '\n' && !(ansi && c == '\x1b');
            assert!(!line.contains(foreign), "{line:?}");
            assert!(!line.contains("\x1b[31md"), "{line:?}");
            assert!(line.contains(" field=\""), "{line:?}");
            assert_eq!(line.matches(r"a\nb\r\tc\u{1b}[31md\u{7}e\u{0}f\u{7f}g\u{9b}h\u{85}i").count(), 3, "{line:?}");
        }
    }

    #[test]
    fn colours_only_when_asked_for() {
        let event = || tracing::warn!("hello");
        assert!(!written(LogLevel::Info, false, event).contains('\x1b'));
        assert!(written(LogLevel::Info, true, event).contains('\x1b'));
    }

    #[test]
    fn debug_is_never_written_and_pingora_is_heard_from_warn_on() {
        let events = || {
            for (level, word) in [
                (log::Level::Trace, "t"),
                (log::Level::Debug, "d"),
                (log::Level::Info, "i"),
                (log::Level::Warn, "w"),
                (log::Level::Error, "e"),
            ] {
                bridged("pingora_proxy::proxy_h1", level, &format!("pingora-{word}"));
                bridged("rustls", level, &format!("other-{word}"));
            }
            tracing::debug!("own-d");
            tracing::info!("own-i");
        };
        let words = |level| -> Vec<String> {
            let text = written(level, false, events);
            text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
        };
        assert_eq!(words(LogLevel::Info), ["other-i", "pingora-w", "other-w", "pingora-e", "other-e", "own-i"]);
        assert_eq!(words(LogLevel::Warn), ["pingora-w", "other-w", "pingora-e", "other-e"]);
        assert_eq!(words(LogLevel::Error), ["pingora-e", "other-e"]);
    }

    #[test]
    fn the_level_changes_while_it_runs() {
        let capture = Capture::default();
        let out = capture.clone();
        let (subscriber, filter) = subscriber(LogLevel::Error, false, move || out.clone());
        with_default(subscriber, || {
            tracing::info!("before");
            filter.reload(targets(LogLevel::Info)).unwrap();
            tracing::info!("after");
            filter.reload(targets(LogLevel::Warn)).unwrap();
            tracing::info!("later");
        });
        let text = String::from_utf8(std::mem::take(&mut *capture.0.lock())).unwrap();
        assert!(text.contains("after") && !text.contains("before") && !text.contains("later"), "{text}");
    }

    #[test]
    fn init_twice_is_harmless_and_keeps_the_log_crate_at_info() {
        init(LogLevel::Info);
        init(LogLevel::Error);
        assert_eq!(log::max_level(), log::LevelFilter::Info);
    }
}
