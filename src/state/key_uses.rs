//! When keys were last accepted, on disk: a JSON file that is replaced whole now and then. Names and instants, never
//! keys or digests.

use super::StateDirectory;
use crate::domain::tables::key_use::LastUse;
use crate::domain::types::Wall;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};

const NAME: &str = "key-uses.json";

/// More than the file of a configuration of the largest size could need.
const MAX: u64 = 32 << 20;

#[derive(Serialize, Deserialize)]
struct KeyUseLine {
    consumer: String,
    key_id: String,
    /// Milliseconds since the epoch.
    at: i64,
}

impl StateDirectory {
    /// What was written last; nothing when there is no file, or when it is damaged, which is said.
    pub fn read_key_uses(&self) -> Vec<LastUse> {
        let path = self.path().join(NAME);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX).read_to_string(&mut text));
        let lines: Vec<KeyUseLine> = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "last uses of keys cannot be read; they start anew");
                return Vec::new();
            }
            Ok(_) => serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::warn!(file = %path.display(), %error, "last uses of keys are damaged; they start anew");
                Vec::new()
            }),
        };
        let use_of = |line: KeyUseLine| LastUse {
            consumer: line.consumer.into(),
            key_id: line.key_id.into(),
            at: Wall(line.at),
        };
        lines.into_iter().map(use_of).collect()
    }

    /// Replaces the file: after a power cut it is the old one or the new one.
    ///
    /// # Errors
    /// When the file cannot be written or renamed.
    pub fn write_key_uses(&self, uses: &[LastUse]) -> io::Result<()> {
        let line = |used: &LastUse| KeyUseLine {
            consumer: used.consumer.to_string(),
            key_id: used.key_id.to_string(),
            at: used.at.0,
        };
        let mut lines: Vec<KeyUseLine> = uses.iter().map(line).collect();
        lines.sort_by(|a, b| (&a.consumer, &a.key_id).cmp(&(&b.consumer, &b.key_id)));
        self.replace(NAME, &serde_json::to_vec(&lines)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_come_back_and_damage_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(folder.path()).unwrap();
        assert_eq!(directory.read_key_uses(), []);
        let used = |key_id: &str, at| LastUse { consumer: "shop".into(), key_id: key_id.into(), at: Wall(at) };
        directory.write_key_uses(&[used("k2", 7), used("k1", -3)]).unwrap();
        assert_eq!(directory.read_key_uses(), [used("k1", -3), used("k2", 7)]);
        std::fs::write(folder.path().join(NAME), "[{").unwrap();
        assert_eq!(directory.read_key_uses(), []);
    }
}
