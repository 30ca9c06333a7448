//! `status --watch`: the status again and again, until Ctrl-C.
//!
//! On a terminal the screen is drawn over the one before, in a single write and without clearing first, so that nothing
//! flickers. Into a pipe or a file goes one line each time.

use super::screen::{self, Style};
use super::{Exit, read};
use crate::cli::control_client::Silence;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);

/// Shows the status each second.
pub(super) fn watch(socket: &Path, style: Style) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Silence::Unreachable { socket: socket.to_owned(), error }.tell(style.lang),
    };
    let on_terminal = std::io::stdout().is_terminal();
    let mut drawn = 0;
    loop {
        let lines = match read(socket) {
            Ok(status) if on_terminal => screen::lines(&status, style),
            Ok(status) => vec![screen::one_line(&status).in_lang(style.lang).to_owned()],
            Err(why) => vec![why.in_lang(style.lang).to_owned()],
        };
        let frame = if on_terminal { over(drawn, &lines, width()) } else { lines.join("\n") + "\n" };
        drawn = lines.len();
        let mut stdout = std::io::stdout().lock();
        // A closed stdout means that nobody looks any more.
        if stdout.write_all(frame.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            return Exit::Ok;
        }
        drop(stdout);
        let interrupted = runtime.block_on(async { tokio::time::timeout(EVERY, tokio::signal::ctrl_c()).await });
        if interrupted.is_ok() {
            return Exit::Ok;
        }
    }
}

/// The lines, over `drawn` lines of before. A line longer than the terminal would wrap and be two.
fn over(drawn: usize, lines: &[String], width: usize) -> String {
    let mut frame = if drawn > 0 { format!("\x1b[{drawn}A\r") } else { String::new() };
    for line in lines {
        frame.push_str(&cut(line, width));
        frame.push_str("\x1b[K\n");
    }
    frame.push_str("\x1b[J");
    frame
}

/// At most `width` characters, colours aside.
fn cut(line: &str, width: usize) -> String {
    let (mut kept, mut room, mut in_colour) = (String::new(), width, false);
    for c in line.chars() {
        in_colour |= c == '\x1b';
        if in_colour {
            kept.push(c);
            in_colour = c != 'm';
        } else if room > 0 {
            kept.push(c);
            room -= 1;
        }
    }
    kept
}

fn width() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_covers_the_one_before() {
        let lines = ["ab".to_owned(), "c".to_owned()];
        assert_eq!(over(0, &lines, 80), "ab\x1b[K\nc\x1b[K\n\x1b[J");
        assert_eq!(over(2, &lines, 1), "\x1b[2A\ra\x1b[K\nc\x1b[K\n\x1b[J");
    }

    #[test]
    fn colours_take_no_room() {
        assert_eq!(cut("\x1b[31mabc\x1b[0md", 2), "\x1b[31mab\x1b[0m");
    }
}
