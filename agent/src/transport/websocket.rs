//! WebSocket (RFC 6455) over TLS: each binary message holds whole frames.

use bytes::Bytes;
use certs::AgentTls;
use futures_util::{SinkExt, StreamExt};
use protocol::{
    frame::{Decoder, HEADER, MAX_MESSAGE},
    message::ToAgent,
};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, protocol::WebSocketConfig},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Cause, Connection, DialError, HubAddress, INCOMING, Queues, Transport,
    http::{self, Proxy, SESSION_PATH},
};

pub(super) async fn dial(hub: &HubAddress, proxy: Option<&Proxy>, tls: &AgentTls) -> Result<Connection, DialError> {
    let stream = http::connect(hub, proxy, tls).await?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE + HEADER))
        .max_frame_size(Some(MAX_MESSAGE + HEADER))
        // The library's own default is 128 KiB.
        .read_buffer_size(8 * 1024)
        // Rows must not wait in a buffer for company.
        .write_buffer_size(0);
    let url = format!("wss://{hub}{SESSION_PATH}");
    let (socket, _) =
        tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await.map_err(|error| match error {
            Error::Http(response) => DialError::new(
                Cause::Intermediary,
                format!("{hub} or a proxy before it refuses WebSocket: HTTP status {}", response.status()),
            ),
            error => DialError::of("WebSocket with", hub, tls, &error),
        })?;
    let (control, lanes, queues) = Queues::new();
    let (sender, incoming) = mpsc::channel(INCOMING);
    let task = AbortOnDropHandle::new(tokio::spawn(run(socket, queues, sender)));
    Ok(Connection { transport: Transport::WebSocket, control, lanes, incoming, task })
}

async fn run(socket: WebSocketStream<TlsStream<TcpStream>>, mut queues: Queues, incoming: mpsc::Sender<ToAgent>) {
    let (mut sink, mut stream) = socket.split();
    let read = async {
        let mut decoder = Decoder::default();
        while let Some(message) = stream.next().await {
            match message {
                Ok(Message::Binary(bytes)) => decoder.push(&bytes),
                Ok(Message::Close(_)) => return,
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!("WebSocket ended: {error}");
                    return;
                }
            }
            loop {
                match decoder.next::<ToAgent>() {
                    Ok(Some(message)) => {
                        if incoming.send(message).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!("the hub sent what is no message: {error}");
                        return;
                    }
                }
            }
        }
    };
    let write = async {
        while let Some(frame) = queues.next().await {
            if send(&mut sink, frame).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    // A reader that waits for the event loop must not keep frames from going out, nor the reverse.
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

async fn send(sink: &mut (impl SinkExt<Message> + Unpin), frame: Bytes) -> Result<(), ()> {
    sink.send(Message::Binary(frame)).await.map_err(|_| ())
}
