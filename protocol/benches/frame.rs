//! Frames: what each batch of rows costs on its way, and what a hunt costs to encode once.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::{
    FlowId, HuntId,
    collection::{FlowRequest, Limits, SourceQuery, StreamId},
    frame::{Decoder, encode},
    message::{Encoding, RowBatch, ToAgent, ToHub},
};

fn rows() -> ToHub {
    let line =
        r#"{"Pid":4242,"Name":"sshd","Exe":"/usr/sbin/sshd","CommandLine":"/usr/sbin/sshd -D","Username":"root"}"#;
    let count = 64 * 1024 / (line.len() + 1);
    ToHub::Rows(RowBatch {
        flow_id: FlowId::of_hunt(HuntId(7)),
        stream: StreamId(0),
        first_row: 1000,
        rows: count as u32,
        encoding: Encoding::Plain,
        data: Bytes::from(format!("{line}\n").repeat(count)),
    })
}

fn start() -> ToAgent {
    ToAgent::StartFlow(FlowRequest {
        flow_id: FlowId::of_hunt(HuntId(7)),
        sources: vec![SourceQuery {
            name: "Generic.Client.VQL".into(),
            query: "SELECT Pid, Name, Exe FROM pslist() WHERE Exe =~ '/tmp'".into(),
            ..SourceQuery::default()
        }],
        env: vec![],
        limits: Limits::default(),
        definitions: vec![],
    })
}

fn frames(c: &mut Criterion) {
    let rows = rows();
    let encoded = encode(&rows).expect("it fits a frame");
    let mut group = c.benchmark_group("64 KiB of rows");
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    group.bench_function("encode", |b| b.iter(|| encode(black_box(&rows))));
    group.bench_function("decode", |b| {
        let mut decoder = Decoder::default();
        b.iter(|| {
            decoder.push(black_box(&encoded));
            decoder.next::<ToHub>()
        });
    });
    // The peer of both: what moving the bytes alone costs.
    group.bench_function("copy", |b| b.iter(|| Bytes::copy_from_slice(black_box(&encoded))));
    group.finish();

    let start = start();
    c.bench_function("encode a hunt's start", |b| b.iter(|| encode(black_box(&start))));
    let ping = encode(&ToHub::Ping { nonce: 7 }).expect("it fits a frame");
    c.bench_function("decode a ping", |b| {
        let mut decoder = Decoder::default();
        b.iter(|| {
            decoder.push(black_box(&ping));
            decoder.next::<ToHub>()
        });
    });
}

criterion_group!(benches, frames);
criterion_main!(benches);
