//! Whatever parses runs without a panic.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use proptest::prelude::*;
use vql::{Execution, Registry, syntax};

/// Words that make expressions and calls of all kinds.
const WORDS: &[&str] = &[
    "1",
    "-1",
    "0",
    "9223372036854775807",
    "-9223372036854775808",
    "1.5",
    "1e308",
    "'a'",
    "'\\xff'",
    "''",
    "NULL",
    "TRUE",
    "X",
    "D",
    "Q",
    "F(X=1)",
    "(",
    ")",
    "(1, 2)",
    "[1,]",
    "[",
    "]",
    "{ SELECT * FROM range(end=3) }",
    "dict(a=1, b=(1, 2))",
    ".a",
    ".b",
    "[0]",
    "[-1]",
    "[1:]",
    "[:-1]",
    "[5:2]",
    "+",
    "-",
    "*",
    "/",
    "%",
    "=",
    "!=",
    "<",
    ">=",
    "IN",
    "=~",
    "AND",
    "OR",
    "NOT",
    "&&",
    "||",
    "'('",
    "'.'",
    "timestamp(epoch=1e18)",
    "timestamp(epoch=-1)",
    "timestamp(string='2020-01-01')",
    "count()",
    "sum(item=1)",
    "format(format='%v%5.2f%-3d%*x', args=(1,))",
    "split(string='a', sep='')",
    "substr(str='äö', start=1, end=-1)",
    "humanize(bytes=-1)",
    "len(list=Q)",
    "items(item=D)",
    "get(member='D.b.1')",
    "set(item=D, field='a', value=D)",
    "eval(func='x => x + 1', args=2)",
    "if(condition=Q, then=Q, else=1)",
    "unhex(string='0x1')",
    "lru(size=1)",
    "'ab' * 3",
    "timestamp_format(time=1, format='Mon Jan 2')",
    "ip(netaddr4_le=-1)",
    "slice(list=(1, 2), start=-5, end=9)",
    "scope()",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_expression_is_too_odd(words in prop::collection::vec(prop::sample::select(WORDS), 1..9)) {
        let text = words.join(" ");
        let Ok(tree) = syntax::parse_expression(&text) else { return Ok(()) };
        let execution = Execution::new(Registry::core());
        let script = syntax::parse("LET X <= 5 LET D <= dict(a=1, b=(1, 2)) LET Q = SELECT * FROM range(end=2) LET F(X) = X + 1").script;
        let _ = execution.run(&script, &mut |_, _| ControlFlow::Continue(()));
        let value = execution.eval_expression(&tree);
        // What it prints is JSON.
        prop_assert!(vql::json::parse(value.to_json().as_bytes()).is_ok(), "{} gave {}", text, value.to_json());
    }

    #[test]
    fn no_time_and_no_layout_is_too_odd(text in "[0-9a-zA-Z:/. +,-]{0,30}", layout in "[0-9a-zA-Z:/. +,_-]{0,30}", time in any::<i64>()) {
        let execution = Execution::new(Registry::core()).env("T", text).env("L", layout).env("N", time);
        for query in ["timestamp(string=T)", "timestamp(string=T, format=L)", "timestamp_format(time=timestamp(epoch=N), format=L)",
                      "timestamp(winfiletime=N)", "timestamp(mactime=N)", "timestamp(cocoatime=N)", "timestamp(epoch=N) + N",
                      "humanize(time=timestamp(epoch=N))", "parse_json(data=T)", "base64decode(string=T)", "commandline_split(command=T)",
                      "url(parse=T)", "path_split(path=T)", "int(int=T)", "T =~ L", "format(format=T, args=(N, N))"] {
            execution.eval_expression(&syntax::parse_expression(query).unwrap());
        }
    }
}
