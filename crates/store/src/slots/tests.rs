//! Tests of what a volume takes over from its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Slot;
use crate::simulated::SimVolumes;
use crate::site::Site;

#[tokio::test(start_paused = true)]
async fn a_volume_gets_its_place_with_what_is_under_way_there() {
    let volumes = SimVolumes::new(1, 1);
    let site = Site::new(volumes.places().pop().unwrap());
    volumes.hang(0);
    site.lock(Duration::from_secs(1)).await.unwrap_err();
    let mut slot = Slot {
        place: None,
        id: [0; 16],
        out: None,
        seen: 0,
        busy: Arc::default(),
        late: Arc::default(),
    };
    slot.set_site(site);
    let counts = [&slot.busy, &slot.late].map(|count| count.load(Ordering::Acquire));
    assert_eq!(counts, [1, 1]);
}
