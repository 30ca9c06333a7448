//! Four servers as proxies, with what is usual for a proxy and limits like the gate's.

use crate::gate::wait_until;
use crate::support::port;
use crate::support::witness::{Action, Behaviour, Witness};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One running server and the witness behind it. Killed on drop.
pub struct Peer {
    pub address: SocketAddr,
    pub witness: Witness,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Peer {
    pub const NAMES: [&'static str; 4] = ["nginx", "HAProxy", "Apache", "lighttpd"];

    pub async fn start_all() -> [Self; 4] {
        [
            Self::start("nginx", NGINX, |folder, file| {
                ("nginx", vec!["-p".into(), folder.into(), "-e".into(), "stderr".into(), "-c".into(), file.into()])
            })
            .await,
            Self::start("haproxy", HAPROXY, |_, file| ("haproxy", vec!["-db".into(), "-f".into(), file.into()])).await,
            Self::start("apache", APACHE, |_, file| ("apache2", vec!["-X".into(), "-f".into(), file.into()])).await,
            Self::start("lighttpd", LIGHTTPD, |_, file| ("lighttpd", vec!["-D".into(), "-f".into(), file.into()]))
                .await,
        ]
    }

    async fn start(name: &str, template: &str, command: impl Fn(&str, &str) -> (&'static str, Vec<String>)) -> Self {
        let echo = |request: &crate::support::witness::SeenRequest| Action::AnswerWith {
            status: 200,
            headers: vec![],
            body: request.target().as_bytes().to_vec(),
        };
        let witness = Witness::start(Behaviour::by(echo)).await;
        let folder = tempfile::tempdir().unwrap();
        // Servers that give up root for their workers have to get in.
        #[cfg(unix)]
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (path, file) = (folder.path().to_str().unwrap(), folder.path().join("peer.conf"));
        let address = port::free();
        let text = template
            .replace("{folder}", path)
            .replace("{port}", &address.port().to_string())
            .replace("{upstream}", &witness.addr().to_string())
            .replace("{upstream_port}", &witness.addr().port().to_string());
        std::fs::write(&file, text).unwrap();
        let (program, arguments) = command(path, file.to_str().unwrap());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(found(program))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; run `make differential`"));
        let up = wait_until(|| TcpStream::connect(address).ok());
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(up.is_some(), "{name} does not start: {}", log());
        Self { address, witness, process, _folder: folder }
    }

    pub fn versions() -> Vec<String> {
        let version = |program: &str, argument: &str| {
            let output = Command::new(found(program)).arg(argument).output().unwrap();
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
        };
        vec![version("nginx", "-v"), version("haproxy", "-v"), version("apache2", "-v"), version("lighttpd", "-v")]
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Asked first, so that a master takes its workers along.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let ended = wait_until(|| self.process.try_wait().ok().flatten());
        if ended.is_none() {
            let _ = self.process.kill();
        }
    }
}

/// Debian keeps servers where not everybody's PATH looks.
fn found(program: &str) -> String {
    let at = format!("/usr/sbin/{program}");
    if Path::new(&at).exists() { at } else { program.to_owned() }
}

const NGINX: &str = "
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events { worker_connections 512; }
http {
    access_log off;
    underscores_in_headers on;
    large_client_header_buffers 4 4k;
    client_max_body_size 128k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {
        listen 127.0.0.1:{port};
        location / {
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection \"\";
        }
    }
}
";

const HAPROXY: &str = "
global
    maxconn 512
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend callers
    bind 127.0.0.1:{port}
    default_backend witness
backend witness
    server witness {upstream}
";

const APACHE: &str = "
ServerRoot {folder}
ServerName gate
PidFile {folder}/pid
Listen 127.0.0.1:{port}
ErrorLog {folder}/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LimitRequestLine 1100
LimitRequestFields 32
LimitRequestFieldSize 4096
LimitRequestBody 131072
AllowEncodedSlashes NoDecode
ProxyPreserveHost On
ProxyPass / http://{upstream}/ nocanon
";

const LIGHTTPD: &str = "
server.document-root = \"{folder}\"
server.bind = \"127.0.0.1\"
server.port = {port}
server.errorlog = \"{folder}/error.log\"
server.modules = ( \"mod_proxy\" )
server.max-request-field-size = 4096
server.max-request-size = 128
proxy.server = ( \"\" => ( ( \"host\" => \"127.0.0.1\", \"port\" => {upstream_port} ) ) )
";
