//! How fast uploads of 1,000 events are decoded.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write as _;
use std::hint::black_box;

fn body() -> String {
    let mut body = String::from("{\"d\":[");
    for number in 0..1_000_u32 {
        if number > 0 {
            body.push(',');
        }
        let written = write!(
            body,
            "{{\"type\":\"event\",\"identity\":\"customer-{:06}\",\"ts\":{},\"evtName\":\"Product \
             Viewed\",\"evtData\":{{\"Product\":\"Casio Chronograph Watch {number}\",\"Category\":\
             \"Mens Accessories\",\"Price\":{}.99,\"Currency\":\"EUR\",\"Quantity\":{},\"In \
             stock\":true,\"Page\":\"https://shop.example/product/{number}\",\"Campaign\":\"autumn \
             sale\"}}}}",
            number % 5_000,
            1_764_000_000 + number,
            number % 300,
            number % 7,
        );
        assert!(written.is_ok());
    }
    body.push_str("]}");
    body
}

fn decode(criterion: &mut Criterion) {
    let body = body();
    let mut group = criterion.benchmark_group("upload");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("decode 1,000 events", |bencher| {
        bencher.iter(|| wire::rest::upload::decode(black_box(body.as_bytes())));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
