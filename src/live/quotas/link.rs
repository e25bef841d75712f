//! The connection to the store, and who keeps it: one connection, on which questions follow one another without waiting for answers.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(1);
/// The first pause before the store is looked for again; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause: a store that comes back is found within the silence that the engine keeps, and a dead one costs next to nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Which it is: whoever finds one broken must not have the next one closed.
    number: u64,
    /// Clones share it.
    pub connection: MultiplexedConnection,
}

/// Connects, again and again.
#[derive(Debug)]
pub(super) struct Keeper {
    link: watch::Sender<Option<Link>>,
    keeping: JoinHandle<()>,
}

impl Keeper {
    /// Connects to the store at `url`. One that is not there is looked for until it is.
    pub async fn start(url: &str) -> Result<Keeper, RedisError> {
        let client = Client::open(url)?;
        let first = connect(&client).await.ok().map(|connection| Link { number: 0, connection });
        let (link, _) = watch::channel(first);
        Ok(Keeper { keeping: tokio::spawn(keep(client, link.clone())), link })
    }

    /// The connection that stands; `None`: there is none now.
    pub fn link(&self) -> Option<Link> {
        self.link.borrow().clone()
    }

    /// A connection is broken.
    pub fn lose(&self, broken: &Link) {
        self.link.send_if_modified(|link| {
            let is_it = link.as_ref().is_some_and(|link| link.number == broken.number);
            if is_it {
                *link = None;
            }
            is_it
        });
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

async fn keep(client: Client, link: watch::Sender<Option<Link>>) {
    let mut number = 0;
    let mut changes = link.subscribe();
    // The sender is here: there is always somebody to wait for.
    while changes.wait_for(Option::is_none).await.is_ok() {
        let mut pause = FIRST_PAUSE;
        let connection = loop {
            tokio::time::sleep(pause).await;
            match connect(&client).await {
                Ok(connection) => break connection,
                Err(_) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        };
        number += 1;
        link.send_replace(Some(Link { number, connection }));
    }
}

/// Answers have a time-out of their own, which is not the connection's.
async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(None);
    // Once more around all of it: greeting a server that is stopped takes for ever.
    match tokio::time::timeout(CONNECT, client.get_multiplexed_async_connection_with_config(&config)).await {
        Ok(connected) => connected,
        Err(_) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
    }
}
