//! Where a request waits on its way to 8sens: the one place that races what it waits for against its caller, the end of
//! the gate and its own deadline. Whatever is added to [`Need`] is waited for here and nowhere else.

use super::caller_stream::CallerStream;
use super::login_body::{self, Left};
use super::unread_body::Body;
use crate::domain::denial::{Denial, Reason};
use crate::domain::exchange::{Event, Exchange, ForwardPlan, InjectedToken, Need, NextToken, Step};
use crate::domain::session::managed::Account;
use crate::platform::clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

/// What becomes of a request that waits for nothing any more.
#[derive(Debug)]
pub(super) enum Decided {
    Deny(Denial),
    TellMethods,
    Forward(Box<ForwardPlan>),
}

/// Who logs in at 8sens in the gate's own name.
pub(super) trait Logins: Sync {
    /// Waits until the login that this account needs has ended. It goes on when this is dropped.
    fn settled(&self, account: &Arc<Account>) -> impl Future<Output = ()> + Send;
}

/// Meets the needs of an exchange one after the other, until it is forwarded or refused.
///
/// # Errors
/// When the caller is gone. Dropping the exchange gives back what it had reserved.
pub(super) async fn until_decided(
    mut step: Step,
    exchange: &mut Exchange,
    caller: &mut CallerStream,
    body: Body,
    stop: &mut watch::Receiver<bool>,
    logins: &impl Logins,
) -> Result<Decided, Left> {
    loop {
        let need = match step {
            Step::Deny(denial) => return Ok(Decided::Deny(denial)),
            Step::TellMethods => return Ok(Decided::TellMethods),
            Step::Forward(plan) => return Ok(Decided::Forward(plan)),
            Step::Need(need) => need,
        };
        let patience = exchange.waits_until().map_or_else(Default::default, |until| until.since(clock::now().mono));
        let event = tokio::select! {
            biased;
            event = meet(need, caller, body, logins) => event?,
            // A gate whose sender is gone is ending as well.
            _ = stop.wait_for(|stop| *stop) => Event::Refused(Denial::because(Reason::GateStops)),
            () = sleep(patience) => Event::Refused(Denial::because(Reason::WaitedTooLong)),
        };
        step = exchange.resume(event, clock::now());
    }
}

/// Longest that a request which is sent again waits for its token.
const NEXT_TOKEN_WITHIN: Duration = Duration::from_secs(30);

/// The token for a request that is sent again. Its caller may leave meanwhile: the lane is going to see that.
///
/// # Errors
/// When there is none to be had in time.
pub(super) async fn next_token(exchange: &mut Exchange, logins: &impl Logins) -> Result<InjectedToken, Denial> {
    let deadline = Instant::now() + NEXT_TOKEN_WITHIN;
    loop {
        match exchange.next_token(clock::now())? {
            NextToken::Is(token) => return Ok(token),
            NextToken::After(account) => {
                let settled = timeout_at(deadline, logins.settled(&account)).await;
                settled.map_err(|_| Denial::because(Reason::WaitedTooLong))?;
            }
        }
    }
}

/// Waits for one need, for as long as it takes and its caller is there.
async fn meet(need: Need, caller: &mut CallerStream, body: Body, logins: &impl Logins) -> Result<Event, Left> {
    match need {
        Need::LoginBody => login_body::read(caller, body).await,
        Need::Login(account) => tokio::select! {
            biased;
            () = caller.gone() => Err(Left),
            () = logins.settled(&account) => Ok(Event::Met),
        },
        #[cfg(test)]
        Need::Word(word) => tokio::select! {
            biased;
            () = caller.gone() => Err(Left),
            () = async { if word > 0 { std::future::pending().await } } => Ok(Event::Met),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConnectionSettings;
    use crate::domain::exchange::simulation::waiting_for;
    use crate::domain::request::Framing;
    use crate::proxy::socket::Socket;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    const NO_BODY: Body = Body { head_len: 0, framing: Framing::None, expects_continue: false };

    /// Nobody needs one here.
    struct NoLogins;

    impl Logins for NoLogins {
        async fn settled(&self, _account: &Arc<Account>) {}
    }

    fn pair() -> (DuplexStream, CallerStream) {
        let (near, far) = duplex(64);
        (near, CallerStream::new(Socket::piped(far), &ConnectionSettings::for_tests()))
    }

    #[tokio::test]
    async fn a_need_that_is_met_lets_the_request_go_on() {
        let (_near, mut caller) = pair();
        let (_keep, mut stop) = watch::channel(false);
        let (mut exchange, step) = waiting_for(&[Need::Word(0), Need::Word(0)]);
        let step = until_decided(step, &mut exchange, &mut caller, NO_BODY, &mut stop, &NoLogins).await;
        assert!(matches!(step, Ok(Decided::Forward(_))), "{step:?}");
    }

    #[tokio::test]
    async fn whoever_leaves_waits_no_longer_and_bytes_of_a_body_are_kept() {
        let (mut near, mut caller) = pair();
        let (_keep, mut stop) = watch::channel(false);
        near.write_all(b"body").await.unwrap();
        drop(near);
        let (mut exchange, step) = waiting_for(&[Need::Word(1)]);
        assert_eq!(
            until_decided(step, &mut exchange, &mut caller, NO_BODY, &mut stop, &NoLogins).await.unwrap_err(),
            Left
        );
        assert_eq!(caller.buffered(), b"body");
    }

    #[tokio::test]
    async fn a_gate_that_ends_refuses_what_waits() {
        let (_near, mut caller) = pair();
        let (end, mut stop) = watch::channel(false);
        end.send(true).unwrap();
        let (mut exchange, step) = waiting_for(&[Need::Word(1)]);
        let step = until_decided(step, &mut exchange, &mut caller, NO_BODY, &mut stop, &NoLogins).await.unwrap();
        let Decided::Deny(denial) = step else { panic!("{step:?}") };
        assert_eq!(denial.reason, Some(Reason::GateStops));
    }
}
