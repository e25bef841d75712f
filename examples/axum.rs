//! An axum service behind the engine: quotas, a breaker and what the autoscaler wants, from a scenario file.
//!
//!     cargo run --features tower --example axum scenarios/serve/layer.toml
//!     curl -i http://127.0.0.1:3000/

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use wavetank::live::layer::EngineLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let scenario = std::env::args().nth(1).unwrap_or_else(|| "scenarios/serve/layer.toml".to_string());
    let layer = EngineLayer::from_scenario(scenario)?.with_client(|parts| {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        peer.map(|ConnectInfo(address)| address.ip())
    });
    let mut wanted = layer.wanted();
    tokio::spawn(async move {
        while wanted.changed().await.is_ok() {
            println!("instances wanted: {}", *wanted.borrow_and_update());
        }
    });
    let app = Router::new().route("/", get(|| async { "hello\n" })).layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
