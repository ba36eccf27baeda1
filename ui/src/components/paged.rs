//! A long list that is fetched by pages, as they come into sight.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use leptos::prelude::*;

const PAGE: u64 = 100;
/// Between two looks at the same pages.
const PAUSE: Duration = Duration::from_millis(700);

/// Items `offset .. offset + limit`, and how many there are in all.
type Fetched<T, E> = Pin<Box<dyn Future<Output = Result<(u64, Vec<T>), E>>>>;
type Fetch<T, E> = Rc<dyn Fn(u64, u32) -> Fetched<T, E>>;

/// A copy is a handle on the same list.
pub struct Paged<T: Send + Sync + 'static, E: Send + Sync + 'static> {
    items: StoredValue<BTreeMap<u64, Arc<T>>>,
    /// Pages on their way.
    asked: StoredValue<BTreeSet<u64>>,
    fetch: StoredValue<Fetch<T, E>, LocalStorage>,
    sight: StoredValue<(u64, u64)>,
    /// Answers of an earlier generation are about another list.
    generation: StoredValue<u64>,
    planned: StoredValue<bool>,
    changed: RwSignal<u64>,
    total: RwSignal<Option<u64>>,
    failure: RwSignal<Option<E>>,
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Clone for Paged<T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Copy for Paged<T, E> {}

impl<T: PartialEq + Send + Sync + 'static, E: Clone + Send + Sync + 'static> Paged<T, E> {
    pub fn new<F: Future<Output = Result<(u64, Vec<T>), E>> + 'static>(
        fetch: impl Fn(u64, u32) -> F + 'static,
    ) -> Self {
        Self {
            items: StoredValue::default(),
            asked: StoredValue::default(),
            fetch: StoredValue::new_local(Rc::new(move |offset, limit| Box::pin(fetch(offset, limit)))),
            sight: StoredValue::new((0, PAGE)),
            generation: StoredValue::new(0),
            planned: StoredValue::new(false),
            changed: RwSignal::new(0),
            total: RwSignal::new(None),
            failure: RwSignal::new(None),
        }
    }

    /// None while nothing has come.
    pub fn total(self) -> Signal<Option<u64>> {
        self.total.into()
    }

    pub fn failure(self) -> Signal<Option<E>> {
        self.failure.into()
    }

    pub fn item(self, number: u64) -> Option<Arc<T>> {
        self.changed.track();
        self.items.with_value(|items| items.get(&number).cloned())
    }

    /// Puts a newer form of an item in its place.
    pub fn replace(self, is_it: impl Fn(&T) -> bool, by: T) {
        self.items.update_value(|items| {
            if let Some(item) = items.values_mut().find(|item| is_it(item)) {
                *item = Arc::new(by);
            }
        });
        self.changed.update(|changed| *changed += 1);
    }

    /// Notes what is in sight, and fetches what of it is missing.
    pub fn look(self, first: u64, end: u64) {
        self.sight.set_value((first, end.max(first + 1)));
        for page in self.pages() {
            if self.items.with_value(|items| !items.contains_key(&(page * PAGE))) {
                self.ask(page);
            }
        }
    }

    /// Another list: forgets all and fetches the first page.
    pub fn restart(self) {
        self.generation.update_value(|generation| *generation += 1);
        self.asked.update_value(BTreeSet::clear);
        self.items.update_value(BTreeMap::clear);
        self.sight.set_value((0, PAGE));
        self.total.set(None);
        self.changed.update(|changed| *changed += 1);
        self.ask(0);
    }

    /// Fetches again what is in sight, a moment from now; many calls in that moment are one.
    pub fn refresh(self) {
        if self.planned.try_get_value() != Some(false) {
            return;
        }
        self.planned.set_value(true);
        set_timeout(
            move || {
                if self.planned.try_set_value(false).is_none() {
                    for page in self.pages() {
                        self.ask(page);
                    }
                }
            },
            PAUSE,
        );
    }

    fn pages(self) -> impl Iterator<Item = u64> {
        let (first, end) = self.sight.get_value();
        first / PAGE..=(end - 1) / PAGE
    }

    fn ask(self, page: u64) {
        if !self.asked.try_update_value(|asked| asked.insert(page)).unwrap_or(false) {
            return;
        }
        let Some(fetch) = self.fetch.try_with_value(|fetch| fetch(page * PAGE, PAGE as u32)) else { return };
        let generation = self.generation.get_value();
        leptos::task::spawn_local(async move {
            let fetched = fetch.await;
            if self.generation.try_get_value() != Some(generation) {
                return;
            }
            self.asked.update_value(|asked| {
                asked.remove(&page);
            });
            match fetched {
                Ok((total, found)) => {
                    self.failure.set(None);
                    self.take(page, total, found);
                }
                Err(error) => self.failure.set(Some(error)),
            }
        });
    }

    fn take(self, page: u64, total: u64, found: Vec<T>) {
        self.items.update_value(|items| {
            items.retain(|number, _| *number < total);
            for (number, item) in (page * PAGE..total).zip(found) {
                // What has not changed stays the same, so that nothing is drawn again.
                if items.get(&number).is_none_or(|before| **before != item) {
                    items.insert(number, Arc::new(item));
                }
            }
        });
        if self.total.get_untracked() != Some(total) {
            self.total.set(Some(total));
        }
        self.changed.update(|changed| *changed += 1);
    }
}
