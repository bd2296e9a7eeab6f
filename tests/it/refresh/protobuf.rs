//! A small reader of Prometheus protobuf, by the words of its `metrics.proto` alone.

#[derive(Debug, Default)]
pub struct Family {
    pub name: String,
    pub metrics: Vec<Metric>,
}

#[derive(Debug, Default)]
pub struct Metric {
    pub endpoint: String,
    /// The further label as text writes it.
    pub label: String,
    pub value: Option<f64>,
    pub histogram: Option<Histogram>,
    /// Unix seconds.
    pub created_at: Option<i64>,
}

#[derive(Debug, Default)]
pub struct Histogram {
    pub count: u64,
    pub sum: f64,
    /// Upper bounds, and how many values are at most as large.
    pub classic: Vec<(f64, u64)>,
    pub schema: i32,
    pub zero_threshold: f64,
    pub zeros: u64,
    /// The gap before each, and its length.
    pub spans: Vec<(i32, u64)>,
    pub deltas: Vec<i64>,
}

enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// The families of an answer, each with its length before it.
pub fn families(mut rest: &[u8]) -> Vec<Family> {
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(family(delimited(&mut rest)));
    }
    families
}

fn family(message: &[u8]) -> Family {
    let mut family = Family::default();
    for (tag, field) in fields(message) {
        match tag {
            1 => family.name = field.text(),
            4 => family.metrics.push(metric(field.bytes())),
            _ => {}
        }
    }
    family
}

fn metric(message: &[u8]) -> Metric {
    let mut metric = Metric::default();
    for (tag, field) in fields(message) {
        match tag {
            1 => match label(field.bytes()) {
                (name, value) if name == "endpoint" => metric.endpoint = value,
                (name, value) => metric.label = format!(",{name}=\"{value}\""),
            },
            // A gauge or a counter.
            2 | 3 => {
                for (tag, field) in fields(field.bytes()) {
                    match tag {
                        1 => metric.value = Some(field.double()),
                        3 => metric.created_at = Some(seconds(field.bytes())),
                        _ => {}
                    }
                }
            }
            7 => {
                let (histogram, created_at) = histogram(field.bytes());
                (metric.histogram, metric.created_at) = (Some(histogram), created_at);
            }
            _ => {}
        }
    }
    metric
}

fn label(message: &[u8]) -> (String, String) {
    let mut label = (String::new(), String::new());
    for (tag, field) in fields(message) {
        match tag {
            1 => label.0 = field.text(),
            2 => label.1 = field.text(),
            _ => {}
        }
    }
    label
}

fn histogram(message: &[u8]) -> (Histogram, Option<i64>) {
    let (mut histogram, mut created_at) = (Histogram::default(), None);
    for (tag, field) in fields(message) {
        match tag {
            1 => histogram.count = field.varint(),
            2 => histogram.sum = field.double(),
            3 => histogram.classic.push(classic_bucket(field.bytes())),
            5 => histogram.schema = unzigzag(field.varint()).try_into().unwrap(),
            6 => histogram.zero_threshold = field.double(),
            7 => histogram.zeros = field.varint(),
            12 => histogram.spans.push(span(field.bytes())),
            13 => match field {
                Field::Bytes(mut packed) => {
                    while !packed.is_empty() {
                        histogram.deltas.push(unzigzag(varint(&mut packed)));
                    }
                }
                field => histogram.deltas.push(unzigzag(field.varint())),
            },
            15 => created_at = Some(seconds(field.bytes())),
            _ => panic!("a histogram with a field {tag}"),
        }
    }
    (histogram, created_at)
}

fn classic_bucket(message: &[u8]) -> (f64, u64) {
    let (mut bound, mut count) = (f64::NAN, 0);
    for (tag, field) in fields(message) {
        match tag {
            1 => count = field.varint(),
            2 => bound = field.double(),
            _ => {}
        }
    }
    (bound, count)
}

fn span(message: &[u8]) -> (i32, u64) {
    let (mut offset, mut length) = (0, 0);
    for (tag, field) in fields(message) {
        match tag {
            1 => offset = unzigzag(field.varint()).try_into().unwrap(),
            2 => length = field.varint(),
            _ => {}
        }
    }
    (offset, length)
}

/// Of a time.
fn seconds(message: &[u8]) -> i64 {
    let mut seconds = 0;
    for (tag, field) in fields(message) {
        match tag {
            1 => seconds = field.varint().cast_signed(),
            _ => assert_eq!(field.varint(), 0, "a part of a second"),
        }
    }
    seconds
}

fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut message)),
            1 => {
                let (number, rest) = message.split_first_chunk().unwrap();
                message = rest;
                Field::Fixed64(u64::from_le_bytes(*number))
            }
            2 => Field::Bytes(delimited(&mut message)),
            kind => panic!("a field of wire type {kind}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn delimited<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let length = varint(rest).try_into().unwrap();
    let (message, after) = rest.split_at(length);
    *rest = after;
    message
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().unwrap();
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
    }
    panic!("a number without an end")
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

impl<'a> Field<'a> {
    fn varint(&self) -> u64 {
        let Self::Varint(number) = self else { panic!("not a varint") };
        *number
    }

    fn double(&self) -> f64 {
        let Self::Fixed64(bits) = self else { panic!("not a double") };
        f64::from_bits(*bits)
    }

    fn bytes(&self) -> &'a [u8] {
        let Self::Bytes(bytes) = self else { panic!("not a message") };
        bytes
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}
