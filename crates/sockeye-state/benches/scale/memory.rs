//! The memory of memberships, counted by the allocator beside the connections.

use sockeye_state::{Hub, Member};
use stats_alloc::Region;

use crate::{ALLOCATOR, connections::connect};

pub(crate) async fn run() {
    println!("memory, in bytes of the heap; the connections and the values of the members are not counted");
    println!("{:>9} {:>7} {:>14} {:>14} {:>16}", "members", "rooms", "members each", "a membership", "beside the rest");
    for (members, rooms_each, room_size) in [(100_000, 10, 10), (17_000, 10, 17), (33_000, 10, 33)] {
        measure(members, rooms_each, room_size).await;
    }
    println!();
}

/// Everybody is in `rooms_each` rooms of `room_size` members.
async fn measure(members: usize, rooms_each: usize, room_size: usize) {
    // Rooms and members without memberships, as far as that goes: each room needs one member.
    let rooms = members * rooms_each / room_size;
    let sender = connect().await;
    let hub: Hub<()> = Hub::new();

    let region = Region::new(ALLOCATOR);
    let registered: Vec<Member<()>> = (0..members).map(|_| hub.register(sender.clone(), ())).collect();
    let own = registered.capacity() * size_of::<Member<()>>();
    let with_members = in_use(&region) - own;
    for (number, member) in registered.iter().enumerate() {
        for each in 0..rooms_each {
            // Neighbours share no more than one room.
            let room = (number * rooms_each + each) % rooms;
            member.join(format!("room:{room:07}")).await.expect("a valid name");
        }
    }
    let with_all = in_use(&region) - own;

    let lonely: Hub<()> = Hub::new();
    let one = lonely.register(sender, ());
    let region = Region::new(ALLOCATOR);
    for room in 0..100 {
        one.join(format!("room:{room:07}")).await.expect("a valid name");
    }
    let room = in_use(&region) / 100;

    let memberships = members * rooms_each;
    let all_in_all = with_all as f64 / memberships as f64;
    let beside = (with_all - with_members) as f64 / memberships as f64 - (room * rooms) as f64 / memberships as f64;
    println!("{members:>9} {rooms:>7} {room_size:>14} {all_in_all:>14.1} {beside:>16.1}");
}

fn in_use(region: &Region<'_, std::alloc::System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}
