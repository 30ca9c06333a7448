//! Can the listeners be bound; or, when a gate runs, do they answer.

use super::Patient;
use super::finding::{Check, Finding};
use crate::text;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A listener of this very machine answers at once, or not.
const PATIENCE: Duration = Duration::from_secs(2);

/// Traffic listeners and the admin one.
pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let listeners = patient.settings.listeners.iter().map(|listener| listener.address);
    let admin = patient.settings.admin.iter().map(|admin| admin.address);
    // Port 0 is whichever is free: nothing to look at.
    let all = listeners.chain(admin).filter(|address| address.port() != 0);
    let runs = patient.gate.is_some() || patient.not_allowed_to_ask;
    all.map(|address| if runs { answers(address) } else { can_bind(address) }).collect()
}

fn can_bind(address: SocketAddr) -> Finding {
    let why = text! {
        en: "the gate does not start when an address cannot be bound",
        fr: "la passerelle ne démarre pas si une adresse ne peut pas être prise"
    };
    let Err(error) = TcpListener::bind(address) else {
        return Finding::ok(Check::Listeners, text! { en: "{address} is free", fr: "{address} est libre" });
    };
    let finding = |what| Finding::error(Check::Listeners, what, why);
    match error.kind() {
        ErrorKind::AddrInUse => {
            let port = address.port();
            finding(text! {
                en: "{address} is in use by another program",
                fr: "{address} est déjà pris par un autre programme"
            })
            .fix(text! {
                en: "end it (`ss -ltnp 'sport = :{port}'` names it), or give the listener another port",
                fr: "arrêtez-le (`ss -ltnp 'sport = :{port}'` le nomme), ou donnez un autre port au point d'écoute"
            })
        }
        ErrorKind::PermissionDenied => finding(text! {
            en: "no right to listen on {address}",
            fr: "pas le droit d'écouter sur {address}"
        })
        .fix(text! {
            en: "ports below 1024 need CAP_NET_BIND_SERVICE (the systemd unit gives it), or take a higher port",
            fr: "les ports sous 1024 demandent CAP_NET_BIND_SERVICE (l'unité systemd le donne), ou prenez un port \
                 plus haut"
        }),
        ErrorKind::AddrNotAvailable => {
            let ip = address.ip();
            finding(text! {
                en: "{ip} is no address of this machine",
                fr: "{ip} n'est pas une adresse de cette machine"
            })
            .fix(text! {
                en: "write an address that `ip address` shows, or 0.0.0.0 for all of them",
                fr: "écrivez une adresse que montre `ip address`, ou 0.0.0.0 pour toutes"
            })
        }
        _ => finding(text! {
            en: "cannot listen on {address}: {error}",
            fr: "impossible d'écouter sur {address} : {error}"
        }),
    }
}

fn answers(address: SocketAddr) -> Finding {
    let target = SocketAddr::new(reachable(address.ip()), address.port());
    match TcpStream::connect_timeout(&target, PATIENCE) {
        Ok(_) => Finding::ok(
            Check::Listeners,
            text! {
                en: "the gate answers on {address}",
                fr: "la passerelle répond sur {address}"
            },
        ),
        Err(error) => Finding::error(
            Check::Listeners,
            text! {
                en: "a gate runs, but does not answer on {address}: {error}",
                fr: "une passerelle tourne, mais ne répond pas sur {address} : {error}"
            },
            text! {
                en: "callers that are told this address do not get through",
                fr: "les appelants à qui l'on donne cette adresse n'aboutissent pas"
            },
        )
        .fix(text! {
            en: "a listener that was changed in the file is applied by a restart only",
            fr: "un point d'écoute changé dans le fichier n'est repris que par un redémarrage"
        }),
    }
}

/// Where a listener of this machine can be called.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
