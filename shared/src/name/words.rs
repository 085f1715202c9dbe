//! The words that a peer without a name is called by.
//!
//! Both lists keep their order and their length for ever: they are in no frame, so two peers call a third one alike
//! only if they have the same lists.

/// The first word.
pub(super) const ADJECTIVES: [&str; 64] = [
    "amber", "ancient", "autumn", "azure", "blue", "bold", "brave", "bright", "bronze", "calm",
    "clever", "copper", "coral", "cosmic", "crimson", "crisp", "daring", "dusky", "eager", "early",
    "emerald", "fancy", "fast", "fluffy", "frosty", "gentle", "gilded", "golden", "grand", "green",
    "happy", "honest", "humble", "icy", "indigo", "ivory", "jolly", "keen", "kind", "lively",
    "lucky", "lunar", "mellow", "merry", "mild", "misty", "noble", "orange", "pearly", "polite",
    "purple", "quick", "quiet", "ruby", "rustic", "sandy", "silent", "silver", "snowy", "solar",
    "sunny", "swift", "velvet", "violet",
];

/// The second.
pub(super) const NOUNS: [&str; 64] = [
    "acorn", "anchor", "badger", "beacon", "birch", "bison", "breeze", "brook", "canyon", "cedar",
    "cloud", "comet", "crane", "dolphin", "dune", "eagle", "ember", "falcon", "fern", "finch",
    "fjord", "forest", "fox", "garden", "glacier", "harbor", "hawk", "heron", "hill", "island",
    "lagoon", "lake", "lantern", "lark", "leaf", "lemon", "lynx", "maple", "meadow", "meteor",
    "moon", "moth", "oak", "ocean", "orchid", "otter", "owl", "panda", "pebble", "pine", "planet",
    "prairie", "raven", "reef", "river", "robin", "sparrow", "spruce", "star", "summit", "swan",
    "tiger", "valley", "willow",
];
