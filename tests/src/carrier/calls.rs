//! A call: it rings, is taken or not, and what its document says is heard.

use std::sync::Arc;

use hyper::Method;

use super::{
    callback::{self, Draft},
    document::{Next, join, play},
    exchange::Form,
    records::{Item, Target},
    told::{Answers, Event, Fate, next},
    world::World,
};

/// What a call says.
pub(super) enum Document {
    /// It came with the request.
    Inline(String),
    /// It is fetched when the call is taken.
    At(Target),
}

/// A call that goes on for more documents goes round in a circle.
const MOST_DOCUMENTS: usize = 10;

/// Makes a call that a vendor took.
pub(super) async fn ring(world: Arc<World>, item: Item, document: Document) {
    let fate = next(&mut world.state().fates, item.vendor, |_| true).unwrap_or_default();
    let end = match fate {
        Fate::Failed { code, word } => (word.unwrap_or_else(|| "failed".to_owned()), code),
        Fate::Queued => return,
        Fate::Delivered | Fate::Sent => {
            callback::tell(&world, &item.id, "ringing", None).await;
            let ended = match world.habits(&item.to).answers {
                Answers::Busy => "busy",
                Answers::No => "no-answer",
                Answers::Yes => {
                    callback::tell(&world, &item.id, "in-progress", None).await;
                    listen(&world, &item, document).await;
                    "completed"
                }
            };
            (ended.to_owned(), None)
        }
    };
    callback::tell(&world, &item.id, &end.0, end.1.as_deref()).await;
}

/// Hears what the documents say; it is in the phone when the call is over.
async fn listen(world: &Arc<World>, item: &Item, document: Document) {
    let mut heard = Call::default();
    let problem = heard.follow(world, item, document).await.err();
    world.arrive(item, heard.lines.join("\n"), heard.pressed, problem);
}

#[derive(Default)]
struct Call {
    lines: Vec<String>,
    pressed: Vec<String>,
}

impl Call {
    async fn follow(
        &mut self,
        world: &Arc<World>,
        item: &Item,
        mut document: Document,
    ) -> Result<(), String> {
        let mut at = String::new();
        let mut digits = None;
        for _ in 0..MOST_DOCUMENTS {
            let (xml, method) = match document {
                Document::Inline(xml) => (xml, Method::POST),
                Document::At(target) => {
                    at.clone_from(&target.url);
                    let method = target.method.clone();
                    (fetch(world, item, target, digits.take()).await?, method)
                }
            };
            let habits = world.habits(&item.to);
            let played = play(&xml, item.vendor.document(), &habits.presses)?;
            self.lines.extend(played.lines);
            match played.next {
                Next::End => return Ok(()),
                Next::Fetch { url, method: said, digits: keys } => {
                    self.pressed.extend(keys.clone());
                    digits = keys;
                    let method = match said.as_deref() {
                        Some("GET") => Method::GET,
                        Some("POST") => Method::POST,
                        Some(other) => return Err(format!("{other:?} is no method")),
                        None => method,
                    };
                    document = Document::At(Target { url: join(&at, &url)?, method });
                }
            }
        }
        Err(format!("more than {MOST_DOCUMENTS} documents"))
    }
}

async fn fetch(
    world: &Arc<World>,
    item: &Item,
    target: Target,
    digits: Option<String>,
) -> Result<String, String> {
    let mut fields: Form = item.vendor.call_fields(world, item, "in-progress");
    if let Some(digits) = digits {
        fields.push(("Digits".to_owned(), digits));
    }
    let url = target.url.clone();
    let draft = Draft {
        vendor: item.vendor,
        event: Event::Answer,
        id: item.id.clone(),
        target,
        fields,
        json: String::new(),
    };
    let answer = callback::send(world, draft).await.ok_or(format!("no answer from {url}"))?;
    if answer.status != 200 {
        return Err(format!("HTTP {} from {url}", answer.status));
    }
    String::from_utf8(answer.body.to_vec()).map_err(|_| format!("{url} answers with no text"))
}
