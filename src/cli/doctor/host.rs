//! This machine: its clock, and the directory that the gate keeps its state in.

use super::Patient;
use super::finding::{Check, Finding};
use crate::domain::types::Wall;
use crate::platform;
use crate::text;
use jiff::Timestamp;
use std::path::Path;

/// A clock outside these years was never set, or set wrong. Milliseconds since the epoch: 2025-01-01 and 2100-01-01.
const PLAUSIBLE: std::ops::Range<i64> = 1_735_689_600_000..4_102_444_800_000;

/// The session log of many shops, and room for it to be written anew beside the old one.
const ENOUGH_SPACE: u64 = 64 << 20;

/// How far the wall clock may drift from the monotonic one before it was set by somebody.
const DRIFT_SECONDS: u64 = 60;

/// Plausible, and not set while the gate ran.
pub(super) fn clock(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = vec![plausible(patient.now)];
    findings.extend(patient.gate.as_ref().and_then(|gate| {
        let started: Timestamp = gate.started.as_ref()?.parse().ok()?;
        let now: Timestamp = gate.time.parse().ok()?;
        let uptime = i64::try_from(gate.uptime_seconds).ok()?;
        let jump = now.as_second() - started.as_second() - uptime;
        (jump.unsigned_abs() > DRIFT_SECONDS).then(|| {
            Finding::warning(
                Check::ClockJump,
                text! {
                    en: "the clock was set by {jump} s since the gate started",
                    fr: "l'horloge a été changée de {jump} s depuis le démarrage de la passerelle"
                },
                text! {
                    en: "sessions do not care; ends of keys, times in logs and sessions over a restart do",
                    fr: "les sessions n'en souffrent pas ; la fin des clés, les heures des journaux et les sessions \
                         après un redémarrage, si"
                },
            )
            .fix(text! {
                en: "let a time service keep the clock (systemd-timesyncd, chrony, ntpd)",
                fr: "faites tenir l'horloge par un service de temps (systemd-timesyncd, chrony, ntpd)"
            })
        })
    }));
    findings
}

fn plausible(now: Wall) -> Finding {
    let shown = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::MAX).strftime("%Y-%m-%d").to_string();
    if PLAUSIBLE.contains(&now.0) {
        return Finding::ok(Check::Clock, text! { en: "the clock is plausible", fr: "l'horloge est plausible" });
    }
    Finding::error(
        Check::Clock,
        text! { en: "this machine takes today for {shown}", fr: "cette machine se croit le {shown}" },
        text! {
            en: "keys and certificates end by the calendar: with a wrong one, good keys are refused or old ones \
                 accepted",
            fr: "les clés et les certificats finissent selon le calendrier : s'il est faux, de bonnes clés sont \
                 refusées ou d'anciennes acceptées"
        },
    )
    .fix(text! {
        en: "set the clock, and let a time service keep it (timedatectl set-ntp true)",
        fr: "réglez l'horloge, et faites-la tenir par un service de temps (timedatectl set-ntp true)"
    })
}

/// A private directory with room in it, used by one gate.
pub(super) fn state_directory(patient: &Patient<'_>) -> Vec<Finding> {
    let path = &patient.settings.state_directory;
    let shown = path.display();
    let why = text! {
        en: "sessions survive a restart only in there, and the commands reach the gate through it",
        fr: "les sessions ne survivent à un redémarrage que là, et c'est par là que les commandes joignent la \
             passerelle"
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => vec![Finding::info(
            Check::StateDirectory,
            text! {
                en: "{shown} is not there yet: the gate makes it when it starts",
                fr: "{shown} n'existe pas encore : la passerelle le crée en démarrant"
            },
        )],
        Err(error) => vec![
            Finding::error(
                Check::StateDirectory,
                text! {
                    en: "{shown} cannot be used: {error}",
                    fr: "{shown} est inutilisable : {error}"
                },
                why,
            )
            .fix(text! {
                en: "give the gate's user this directory",
                fr: "donnez ce répertoire à l'utilisateur de la passerelle"
            }),
        ],
        Ok(metadata) if !metadata.is_dir() => vec![
            Finding::error(
                Check::StateDirectory,
                text! {
                    en: "{shown} is no directory",
                    fr: "{shown} n'est pas un répertoire"
                },
                why,
            )
            .fix(text! {
                en: "take it away, or name another place in `directory` of [state]",
                fr: "enlevez-le, ou nommez un autre endroit dans `directory` de [state]"
            }),
        ],
        Ok(_) => vec![state_in(patient, path), space_in(path)],
    }
}

fn state_in(patient: &Patient<'_>, path: &Path) -> Finding {
    let shown = path.display();
    if let Ok(Some(mode)) = platform::file_mode(path)
        && mode & 0o077 != 0
    {
        let octal = format!("{:04o}", mode & 0o7777);
        return Finding::warning(
            Check::StateDirectory,
            text! {
                en: "others may enter {shown}: its mode is {octal}",
                fr: "d'autres peuvent entrer dans {shown} : son mode est {octal}"
            },
            text! {
                en: "who can enter it may ask the gate and see which sessions there are",
                fr: "qui peut y entrer peut interroger la passerelle et voir quelles sessions existent"
            },
        )
        .fix(text! { en: "chmod 0700 {shown}", fr: "chmod 0700 {shown}" });
    }
    if patient.gate.is_none() && crate::state::is_locked(path) {
        return Finding::error(
            Check::StateDirectory,
            text! {
                en: "a process holds {shown}, and no gate answers there",
                fr: "un processus tient {shown}, et aucune passerelle n'y répond"
            },
            text! {
                en: "a gate cannot start while another one holds its directory",
                fr: "une passerelle ne peut pas démarrer tant qu'une autre tient son répertoire"
            },
        )
        .fix(text! {
            en: "end that process: `fuser {shown}/lock` names it",
            fr: "terminez ce processus : `fuser {shown}/lock` le nomme"
        });
    }
    Finding::ok(Check::StateDirectory, text! { en: "{shown} is private", fr: "{shown} est privé" })
}

fn space_in(path: &Path) -> Finding {
    let shown = path.display();
    let Some(free) = platform::free_space(path) else {
        return Finding::info(
            Check::StateSpace,
            text! {
                en: "free space of {shown} cannot be known here",
                fr: "l'espace libre de {shown} ne peut pas être connu ici"
            },
        );
    };
    let (free_mib, enough) = (free >> 20, ENOUGH_SPACE >> 20);
    if free >= ENOUGH_SPACE {
        return Finding::ok(
            Check::StateSpace,
            text! { en: "there is room for the state", fr: "il y a de la place pour l'état" },
        );
    }
    Finding::warning(
        Check::StateSpace,
        text! {
            en: "{shown}: {free_mib} MiB free, {enough} are wanted",
            fr: "{shown} : {free_mib} Mio libres, il en faut {enough}"
        },
        text! {
            en: "on a full disk sessions are not written down, and callers have to log in again after a restart",
            fr: "sur un disque plein, les sessions ne sont pas écrites, et les appelants doivent se reconnecter après \
                 un redémarrage"
        },
    )
    .fix(text! {
        en: "make room on that disk, or name another place in `directory` of [state]",
        fr: "faites de la place sur ce disque, ou nommez un autre endroit dans `directory` de [state]"
    })
}
