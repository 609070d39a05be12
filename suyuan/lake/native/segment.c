/* Stored events as columns, and the hash of each one's leaf: the inner loop of sealing.

   Events are MessagePack arrays as the journal keeps them. Which field becomes what is told by Python (`columns.py`),
   which also says what the leaf is (`proof/leaf.py`); this file knows neither names nor kinds. An event is looked
   through whole before anything of it is kept, so that one which is not as expected leaves no trace. */

#include "bytes.h"
#include "json.h"
#include "msgpack.h"
#include "sha256.h"
#include "words.h"

enum { INTERFACE = 2, FIELDS_MAX = 64, CALLED_MAX = 16, SALT = 16 };

/* The fields that a leaf tells. */
enum told { KIND, KEY, EVENT_TIME, ARRIVED, ACTOR, REGION, TOLD };

/* What becomes of a field, as `columns.py` writes it. */
enum role {
    NOT_KEPT = '-',
    AS_NUMBER = 'n',
    AS_FLAG = 'b',
    AS_TEXT = 't',       /* values are mostly different */
    AS_WORD = 'w',       /* few different values: numbers of a list */
    AS_LIST = 'l',       /* texts, likewise, parted by blanks */
    AS_REFERENCES = 'j', /* a map of texts, as JSON */
};

typedef struct {
    bytes values;  /* numbers, flags, texts one after the other, numbers of words */
    bytes offsets; /* of texts */
    words words;
} column;

typedef struct {
    char roles[FIELDS_MAX];
    int fields, fields_min;
    int told[TOLD]; /* which fields they are */
    column columns[FIELDS_MAX];
    bytes leaves, line, joined;
    bytes name;               /* what a leaf begins with, as JSON */
    words kinds;              /* those that a leaf calls otherwise */
    bytes called[CALLED_MAX]; /* how, in the order of `kinds` */
    words hidden;             /* actors that are not told */
    item found[FIELDS_MAX];   /* of the event that is looked through */
} segment;

int suyuan_interface(void) { return INTERFACE; }

/* `roles` has a letter for each field; events of fewer than `fields_min` are not taken; `seed` is a secret of today.
   NULL without memory. */
segment *suyuan_segment(const char *roles, int fields_min, const int told[TOLD], const char *name, uint64_t seed)
{
    size_t fields = strlen(roles);
    segment *new = fields <= FIELDS_MAX ? calloc(1, sizeof *new) : NULL;
    if (!new)
        return NULL;
    out_of_memory = 0;
    memcpy(new->roles, roles, fields);
    new->fields = (int)fields, new->fields_min = fields_min;
    memcpy(new->told, told, sizeof new->told);
    add_json(&new->name, (const uint8_t *)name, strlen(name));
    new->kinds.seed = new->hidden.seed = seed;
    for (size_t field = 0; field < fields; field++) {
        new->columns[field].words.seed = seed;
        if (roles[field] == AS_TEXT || roles[field] == AS_REFERENCES)
            add_offset(&new->columns[field].offsets, 0);
    }
    return new;
}

/* Events of this kind are called so in leaves. 0 where there is no room for it. */
int suyuan_call(segment *in, const uint8_t *kind, size_t kind_size, const uint8_t *name, size_t name_size)
{
    out_of_memory = 0;
    uint32_t number = number_of(&in->kinds, kind, kind_size);
    if (out_of_memory || number >= CALLED_MAX)
        return 0;
    in->called[number].used = 0;
    add(&in->called[number], name, name_size);
    return !out_of_memory;
}

/* Leaves keep this actor and its region to themselves. 0 without memory. */
int suyuan_hide(segment *in, const uint8_t *actor, size_t size)
{
    out_of_memory = 0;
    number_of(&in->hidden, actor, size);
    return !out_of_memory;
}

/* Look through one field; 0 where it is not what its role says. */
static int look(cursor *from, char role, item *found)
{
    cursor inside;
    *found = role == AS_NUMBER || role == AS_FLAG || role == NOT_KEPT ? next(from) : next_text(from);
    switch (role) {
    case AS_NUMBER:
        return found->type == NUMBER;
    case AS_FLAG:
        return found->type == FLAG;
    case AS_TEXT:
    case AS_WORD:
        return found->type == TEXT;
    case AS_LIST:
    case AS_REFERENCES:
        if (found->type != (role == AS_LIST ? ARRAY : MAP))
            return 0;
        inside = *from;
        for (size_t left = role == AS_LIST ? found->size : 2 * found->size; left; left--)
            if (next_text(&inside).type != TEXT)
                return 0;
        *from = inside;
        return 1;
    default:
        return skip(from, *found);
    }
}

/* Look through one event; 0 where it is not one, or not of the form that is asked for. */
static int look_through(segment *in, cursor *from, int canonical)
{
    if (from->end - from->at < 3 || from->at[0] != 0xdc)
        return 0;
    item array = next(from);
    size_t least = (size_t)in->fields_min, most = canonical ? (size_t)in->fields : least;
    if (array.type != ARRAY || array.size < least || array.size > most)
        return 0;
    int fields = (int)array.size;
    for (int field = 0; field < fields; field++)
        if (!look(from, in->roles[field], &in->found[field]))
            return 0;
    for (int field = fields; field < in->fields; field++)
        in->found[field] = (item){OTHER, 0, from->at, 0}; /* left out because it says nothing */
    return 1;
}

static void add_joined(bytes *to, item list, const uint8_t *end)
{
    cursor from = {list.text, end};
    for (size_t left = list.size; left; left--) {
        item one = next(&from);
        add(to, one.text, one.size);
        if (left > 1)
            add_byte(to, ' ');
    }
}

static void add_references(bytes *to, item map, const uint8_t *end)
{
    cursor from = {map.text, end};
    add_byte(to, '{');
    for (size_t left = map.size; left; left--) {
        item key = next(&from), value = next(&from);
        add_json(to, key.text, key.size);
        add_byte(to, ':');
        add_json(to, value.text, value.size);
        if (left > 1)
            add_byte(to, ',');
    }
    add_byte(to, '}');
}

static inline void keep(segment *in, int field, const uint8_t *end)
{
    item *found = &in->found[field];
    column *to = &in->columns[field];
    uint32_t number;
    switch (in->roles[field]) {
    case AS_NUMBER:
        add(&to->values, &found->number, sizeof found->number);
        break;
    case AS_FLAG:
        add_byte(&to->values, (uint8_t)found->number);
        break;
    case AS_TEXT:
        add(&to->values, found->text, found->size);
        add_offset(&to->offsets, to->values.used);
        break;
    case AS_WORD:
        number = number_of(&to->words, found->text, found->size);
        add(&to->values, &number, sizeof number);
        break;
    case AS_LIST:
        in->joined.used = 0;
        add_joined(&in->joined, *found, end);
        number = number_of(&to->words, in->joined.data ? in->joined.data : found->text, in->joined.used);
        add(&to->values, &number, sizeof number);
        break;
    case AS_REFERENCES:
        add_references(&to->values, *found, end);
        add_offset(&to->offsets, to->values.used);
        break;
    default:
        break;
    }
}

/* The commitment to actor and region, under a salt of its own (`leaf.place_salt`). */
static void hash_place(segment *in, const uint8_t *salt, item actor, item region, uint8_t hash[SHA256_HASH])
{
    uint8_t place_salt[SHA256_HASH];
    sha256((const uint8_t *)"place", 5, salt, SALT, place_salt);
    in->joined.used = 0;
    add_byte(&in->joined, '[');
    add_json(&in->joined, actor.text, actor.size);
    add_byte(&in->joined, ',');
    add_json(&in->joined, region.text, region.size);
    add_byte(&in->joined, ']');
    if (!out_of_memory)
        sha256(place_salt, SALT, in->joined.data, in->joined.used, hash);
}

/* The leaf of the event that was looked through (`leaf.leaf`), hashed. */
static void hash_leaf(segment *in, const uint8_t *whole, size_t size, const uint8_t *salt)
{
    const item *kind = &in->found[in->told[KIND]], *actor = &in->found[in->told[ACTOR]],
               *region = &in->found[in->told[REGION]];
    uint8_t hash[SHA256_HASH], place[SHA256_HASH];
    uint32_t number;
    bytes *line = &in->line;
    line->used = 0;
    sha256(salt, SALT, whole, size, hash);
    add_byte(line, '[');
    add(line, in->name.data, in->name.used);
    add_byte(line, ',');
    if (is_in(&in->kinds, kind->text, kind->size, &number))
        add_json(line, in->called[number].data, in->called[number].used);
    else
        add_json(line, kind->text, kind->size);
    add_byte(line, ',');
    add_json(line, in->found[in->told[KEY]].text, in->found[in->told[KEY]].size);
    add_byte(line, ',');
    add_number(line, in->found[in->told[EVENT_TIME]].number);
    add_byte(line, ',');
    add_number(line, in->found[in->told[ARRIVED]].number);
    add_byte(line, ',');
    int hidden = is_in(&in->hidden, actor->text, actor->size, &number);
    add_json(line, actor->text, hidden ? 0 : actor->size);
    add_byte(line, ',');
    add_json(line, region->text, hidden ? 0 : region->size);
    add_byte(line, ',');
    add_hash(line, hash);
    if (hidden) {
        hash_place(in, salt, *actor, *region, place);
        add_byte(line, ',');
        add_hash(line, place);
    }
    add_byte(line, ']');
    if (out_of_memory)
        return;
    sha256((const uint8_t *)"\0", 1, line->data, line->used, hash);
    add(&in->leaves, hash, sizeof hash);
}

/* Take in up to `count` events; `salts` has 16 bytes for each, and `read` is told how many bytes were taken.

   Answers how many events were taken: fewer where the next one is not of the expected form; -1 without memory, and
   then the segment is good for nothing. */
int64_t suyuan_take(segment *in, int64_t count, const uint8_t *events, size_t size, const uint8_t *salts, int canonical,
                    size_t *read)
{
    cursor from = {events, events + size};
    int64_t taken = 0;
    out_of_memory = 0;
    *read = 0;
    for (; taken < count && look_through(in, &from, canonical); taken++) {
        const uint8_t *whole = events + *read;
        for (int field = 0; field < in->fields; field++)
            keep(in, field, from.at);
        hash_leaf(in, whole, (size_t)(from.at - whole), salts + SALT * taken);
        *read = (size_t)(from.at - events);
    }
    return out_of_memory ? -1 : taken;
}

enum part { VALUES, OFFSETS, WORDS, WORD_OFFSETS, LEAVES };

/* A part of what was taken, which stays the segment's. */
const uint8_t *suyuan_part(const segment *in, int field, int part, size_t *size)
{
    const column *of = &in->columns[field];
    const bytes *parts[] = {&of->values, &of->offsets, &of->words.text, &of->words.offsets, &in->leaves};
    *size = parts[part]->used;
    return parts[part]->data;
}

void suyuan_free(segment *in)
{
    for (int field = 0; field < in->fields; field++) {
        free(in->columns[field].values.data), free(in->columns[field].offsets.data);
        free_words(&in->columns[field].words);
    }
    for (int number = 0; number < CALLED_MAX; number++)
        free(in->called[number].data);
    free_words(&in->kinds), free_words(&in->hidden);
    free(in->leaves.data), free(in->line.data), free(in->joined.data), free(in->name.data);
    free(in);
}

/* The root of the tree over `count` leaf hashes, at least one (RFC 9162, 2.1.1); 0 without memory. */
int suyuan_root(const uint8_t *leaves, size_t count, uint8_t root[SHA256_HASH])
{
    uint8_t *level = malloc(count * SHA256_HASH);
    if (!level)
        return 0;
    memcpy(level, leaves, count * SHA256_HASH);
    for (; count > 1; count = (count + 1) / 2) {
        for (size_t pair = 0; pair < count / 2; pair++)
            sha256((const uint8_t *)"\1", 1, level + 2 * SHA256_HASH * pair, 2 * SHA256_HASH,
                   level + SHA256_HASH * pair);
        if (count & 1) /* one left over goes up as it is */
            memmove(level + SHA256_HASH * (count / 2), level + SHA256_HASH * (count - 1), SHA256_HASH);
    }
    memcpy(root, level, SHA256_HASH);
    free(level);
    return 1;
}

/* SHA-256 as sealing makes it, or by arithmetic alone: for the tests. */
void suyuan_sha256(const uint8_t *text, size_t size, int plain, uint8_t hash[SHA256_HASH])
{
    sha256_by(plain ? sha256_blocks_plain : sha256_blocks, (const uint8_t *)"", 0, text, size, hash);
}
