//! What ACME keeps in the state directory: for each directory URL a folder with the account, an order that is under
//! way, and certificates. Every file is 0600 and replaced whole.

use crate::config::AcmeSettings;
use crate::platform;
use crate::state::replace;
use crate::tls::Certificate;
use data_encoding::HEXLOWER;
use instant_acme::AccountCredentials;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The folder of all that is kept, below the state directory.
const FOLDER: &str = "acme";
const ACCOUNT: &str = "account.json";

/// Largest file that is read: a key and a chain.
const MAX_FILE: u64 = 1 << 20;

/// Certificates of earlier names that are looked at.
const MAX_OTHERS: usize = 100;

/// The account at one certificate authority. Its key is secret.
#[derive(Deserialize, Serialize)]
pub(super) struct StoredAccount {
    /// What the authority was told.
    pub contact: Option<String>,
    pub credentials: AccountCredentials,
}

/// An order that was begun, with the key of its certificate, which is secret.
#[derive(Deserialize, Serialize)]
pub(super) struct StoredOrder {
    pub url: String,
    /// PKCS#8 in PEM.
    pub key: Zeroizing<String>,
}

/// The folder of one directory URL, and the names of the files of one certificate in it.
#[derive(Clone, Debug)]
pub(super) struct Store {
    folder: PathBuf,
    name: String,
}

impl Store {
    /// Opens the folder for what these settings ask for, making it when it is not there.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub(super) fn open(state: &Path, settings: &AcmeSettings) -> io::Result<Self> {
        let host = settings.directory.split('/').nth(2).unwrap_or_default();
        let folder = state.join(FOLDER).join(named(host, &[&settings.directory]));
        platform::create_private_folder(&folder)?;
        let mut asked: Vec<String> = settings.identifiers.iter().map(ToString::to_string).collect();
        let first = asked.first().cloned().unwrap_or_default();
        asked.sort_unstable();
        asked.push(format!("profile {}", settings.profile.as_deref().unwrap_or_default()));
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        Ok(Self { folder, name: named(&first, &asked) })
    }

    /// The account, when there is one that can be read.
    pub(super) fn account(&self) -> io::Result<Option<StoredAccount>> {
        self.read_json(ACCOUNT)
    }

    pub(super) fn keep_account(&self, account: &StoredAccount) -> io::Result<()> {
        self.write_json(ACCOUNT, account)
    }

    /// Forgets an account that the authority does not know any more, and the order of it.
    pub(super) fn forget_account(&self) -> io::Result<()> {
        self.forget_order()?;
        self.remove(ACCOUNT)
    }

    /// The order that is under way, when there is one that can be read.
    pub(super) fn order(&self) -> io::Result<Option<StoredOrder>> {
        self.read_json(&self.order_file())
    }

    pub(super) fn keep_order(&self, order: &StoredOrder) -> io::Result<()> {
        self.write_json(&self.order_file(), order)
    }

    pub(super) fn forget_order(&self) -> io::Result<()> {
        self.remove(&self.order_file())
    }

    /// The certificate that was issued last, when there is one that can be served.
    pub(super) fn certificate(&self) -> io::Result<Option<Certificate>> {
        self.read_certificate(&self.certificate_file())
    }

    /// Keeps a certificate in one file with its key, so that no moment knows one without the other. The order has come
    /// to its end.
    pub(super) fn keep_certificate(&self, chain: &str, key: &str) -> io::Result<()> {
        let pair = Zeroizing::new(format!("{}\n{chain}", key.trim_end()));
        replace(&self.folder, &self.certificate_file(), pair.as_bytes())?;
        self.forget_order()
    }

    /// Certificates of this directory for other sets of names, as a change of the configuration leaves them behind.
    pub(super) fn others(&self) -> io::Result<Vec<Certificate>> {
        let own = self.certificate_file();
        let mut files: Vec<String> = fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".pem") && *name != own)
            .take(MAX_OTHERS)
            .collect();
        files.sort_unstable();
        let read = files.iter().filter_map(|file| self.read_certificate(file).transpose());
        read.collect()
    }

    fn order_file(&self) -> String {
        format!("{}.order.json", self.name)
    }

    fn certificate_file(&self) -> String {
        format!("{}.pem", self.name)
    }

    fn read_certificate(&self, file: &str) -> io::Result<Option<Certificate>> {
        let Some(pair) = self.read(file)? else { return Ok(None) };
        let certificate = Certificate::from_pem(&pair, &pair);
        if let Err(error) = &certificate {
            tracing::warn!(file, %error, "a stored certificate cannot be used, another one is ordered");
        }
        Ok(certificate.ok())
    }

    fn read_json<T: DeserializeOwned>(&self, file: &str) -> io::Result<Option<T>> {
        let Some(bytes) = self.read(file)? else { return Ok(None) };
        let read = serde_json::from_slice(&bytes);
        if read.is_err() {
            // The error itself could quote the file.
            tracing::warn!(file, "a file of ACME is damaged and will be made anew");
        }
        Ok(read.ok())
    }

    fn write_json(&self, file: &str, value: &impl Serialize) -> io::Result<()> {
        let bytes = Zeroizing::new(serde_json::to_vec(value)?);
        replace(&self.folder, file, &bytes)
    }

    fn read(&self, file: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut bytes = Zeroizing::new(Vec::new());
        match File::open(self.folder.join(file)) {
            Ok(file) => file.take(MAX_FILE).read_to_end(&mut bytes).map(|_| Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(file)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => platform::sync_folder(&self.folder),
        }
    }
}

/// A file name that a person recognises and that no other set of values has.
fn named(shown: &str, values: &[&str]) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let mut digest = Sha256::new();
    for value in values {
        digest.update(value.as_bytes());
        digest.update([0]);
    }
    let digest = HEXLOWER.encode(&digest.finalize()[..8]);
    format!("{}-{digest}", shown.chars().take(80).map(tame).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AcmeIdentifier;

    fn settings(names: &[&str]) -> AcmeSettings {
        AcmeSettings {
            directory: "https://ca.example:9000/dir".into(),
            contact: None,
            identifiers: names.iter().map(|name| AcmeIdentifier::Name((*name).into())).collect(),
            profile: None,
            ca: None,
        }
    }

    fn pair(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn certificates_belong_to_a_set_of_names() {
        let state = tempfile::tempdir().unwrap();
        let open = |names: &[&str]| Store::open(state.path(), &settings(names)).unwrap();
        let one = open(&["a.example", "b.example"]);
        assert!(one.certificate().unwrap().is_none() && one.others().unwrap().is_empty());
        let (chain, key) = pair("a.example");
        one.keep_order(&StoredOrder { url: "u".into(), key: key.clone().into() }).unwrap();
        one.keep_certificate(&chain, &key).unwrap();
        assert!(one.order().unwrap().is_none(), "the order has come to its end");
        let other_order = open(&["b.example", "a.example"]);
        assert_ne!(other_order.name, one.name, "files are recognised by the first name");
        assert_eq!(one.certificate().unwrap().unwrap().names().collect::<Vec<_>>(), ["a.example"]);
        let less = open(&["a.example"]);
        assert!(less.certificate().unwrap().is_none());
        assert_eq!(less.others().unwrap().len(), 1);
        let elsewhere = AcmeSettings { directory: "https://other.example/dir".into(), ..settings(&["a.example"]) };
        assert!(Store::open(state.path(), &elsewhere).unwrap().others().unwrap().is_empty());
    }

    #[test]
    fn damaged_files_count_as_absent() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path(), &settings(&["a.example"])).unwrap();
        for file in [ACCOUNT.to_owned(), store.order_file(), store.certificate_file()] {
            fs::write(store.folder.join(file), "{\"url\": 1").unwrap();
        }
        assert!(store.account().unwrap().is_none());
        assert!(store.order().unwrap().is_none());
        assert!(store.certificate().unwrap().is_none());
        store.forget_account().unwrap();
        store.forget_account().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::MetadataExt;
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path(), &settings(&["2001:db8::1"])).unwrap();
        let (chain, key) = pair("a.example");
        store.keep_certificate(&chain, &key).unwrap();
        store.keep_order(&StoredOrder { url: "u".into(), key: key.into() }).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&state.path().join(FOLDER)), mode(&store.folder)), (0o700, 0o700));
        let files: Vec<_> = fs::read_dir(&store.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 2, "{files:?}");
        files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{file:?}"));
    }
}
