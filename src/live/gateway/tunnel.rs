//! Tunnels: what a WebSocket handshake turns a connection into.

use std::io;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a tunnel may be quiet in both directions.
const IDLE: Duration = Duration::from_secs(300);

/// Carries bytes both ways until either side ends, or both have been quiet for too long.
pub async fn carry(client: OnUpgrade, instance: OnUpgrade) {
    let (Ok(client), Ok(instance)) = tokio::join!(client, instance) else { return };
    // How a tunnel ends is its two ends' business.
    let _ = between(TokioIo::new(client), TokioIo::new(instance)).await;
}

async fn between<A, B>(client: A, instance: B) -> io::Result<()>
where
    A: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    B: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_instance, mut to_instance) = tokio::io::split(instance);
    let (mut there, mut back) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let (mut client_open, mut instance_open) = (true, true);
    while client_open || instance_open {
        tokio::select! {
            n = from_client.read(&mut there), if client_open => match n? {
                0 => {
                    client_open = false;
                    to_instance.shutdown().await?;
                }
                n => to_instance.write_all(&there[..n]).await?,
            },
            n = from_instance.read(&mut back), if instance_open => match n? {
                0 => {
                    instance_open = false;
                    to_client.shutdown().await?;
                }
                n => to_client.write_all(&back[..n]).await?,
            },
            () = tokio::time::sleep(IDLE) => return Ok(()),
        }
    }
    Ok(())
}
