// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//go:build ignore

/*
 * The XDP program of millrace: segments of claimed TCP flows, and ICMP errors
 * about them, go to the AF_XDP socket of their receive queue. All else, and all
 * that is not understood, is the kernel's: XDP_PASS.
 *
 * The section is "xdp.frags": the program is loaded with BPF_F_XDP_HAS_FRAGS and
 * so attaches at any MTU. Of a packet in several buffers it reads the first,
 * which holds the headers.
 *
 * A VLAN tag that the NIC has stripped is not seen here; such frames look untagged.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETHERTYPE_IPV4	0x0800
#define ETHERTYPE_IPV6	0x86dd
#define ETHERTYPE_8021Q	0x8100
#define ETHERTYPE_8021AD 0x88a8

#define PROTO_HOPOPTS	0
#define PROTO_ICMP	1
#define PROTO_TCP	6
#define PROTO_FRAGMENT	44
#define PROTO_ICMPV6	58
#define PROTO_DSTOPTS	60

/* IPv6 headers walked before TCP or ICMPv6. RFC 8200 orders at most four. */
#define EXT_HEADERS_MAX	4

/* The loader may set other sizes when it loads; these are the defaults. */
#define QUEUES_MAX	1024
#define LISTENS_MAX	4096
#define FLOWS_MAX	(1 << 18)
#define ADDRS_MAX	4096

/* How packets leave; one is counted for each packet. Go reads these by name. */
enum counter {
	REDIRECTED,		/* a segment of a claimed flow, to its socket */
	REDIRECTED_ICMP,	/* an ICMP error about one, to the socket */
	NO_SOCKET,		/* claimed, but the queue has no socket: dropped */
	DROPPED_FRAGMENT,	/* the first fragment of a claimed flow's segment */
	PASSED_UNCLAIMED,	/* TCP, or an ICMP error about TCP, not claimed */
	PASSED_FRAGMENT,	/* a fragment without ports, or of an unclaimed flow */
	PASSED_PROTOCOL,	/* neither TCP nor an ICMP error about TCP */
	PASSED_HEADER,		/* a second VLAN tag or an IPv6 header not walked */
	PASSED_MALFORMED,	/* cut short, or lengths that cannot be */
	PASSED_GROUP,		/* sent to a broadcast or multicast MAC address */
	COUNTERS		/* how many there are */
};

/* An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d, as on the wire. */
struct addr {
	__be32 word[4];
};

/*
 * A listening address and port. The wildcard is :: for IPv6 and ::ffff:0.0.0.0
 * for IPv4: one does not imply the other.
 */
struct listen {
	struct addr addr;
	__be16 port;
	__u16 zero;
};

/* A connection, seen from here. */
struct flow {
	struct addr local;
	struct addr remote;
	__be16 local_port;
	__be16 remote_port;
};

/* The loader enters the AF_XDP socket of each queue, the kernel takes it out. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* Owned by the loader; read here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LISTENS_MAX);
	__type(key, struct listen);
	__type(value, __u8);
} listens SEC(".maps");

/* Owned by the loader; read here. Not preallocated: most claim few. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow);
	__type(value, __u8);
} flows SEC(".maps");

/* The NIC's own addresses, to which alone a wildcard applies. Owned by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ADDRS_MAX);
	__type(key, struct addr);
	__type(value, __u8);
} addrs SEC(".maps");

/* Written here, each CPU its own; read by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, enum counter);
	__type(value, __u64);
} counters SEC(".maps");

/* What is left to read. It only moves through take(). */
struct cursor {
	void *pos;
	void *end;
};

/* Headers as on the wire, without bit-fields: the same on both byte orders. */
struct eth_hdr {
	__u8 dst[6];
	__u8 src[6];
	__be16 type;
};

struct vlan_hdr {
	__be16 tci;
	__be16 type;
};

struct ipv4_hdr {
	__u8 version_ihl;
	__u8 tos;
	__be16 total_len;
	__be16 id;
	__be16 frag;
	__u8 ttl;
	__u8 protocol;
	__sum16 check;
	__be32 src;
	__be32 dst;
};

struct ipv6_hdr {
	__be32 version_class_flow;
	__be16 payload_len;
	__u8 next;
	__u8 hops;
	struct addr src;
	struct addr dst;
};

struct ext_hdr {
	__u8 next;
	__u8 len;	/* in units of 8 octets, the first not counted */
};

struct frag_hdr {
	__u8 next;
	__u8 reserved;
	__be16 frag;
	__be32 id;
};

struct icmp_hdr {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 rest;
};

/* The first 8 octets of TCP: all that an ICMP error or a fragment must hold. */
struct tcp_start {
	__be16 src;
	__be16 dst;
	__be32 seq;
};

#define TCP_HEADER_MIN	20

enum fragment {
	WHOLE,
	FIRST,
	LATER,
};

/* What the IP headers say. */
struct packet {
	struct addr src;
	struct addr dst;
	enum fragment frag;
	__u8 protocol;
};

/* Returns the next len octets and moves past them; NULL if there are fewer. */
static __always_inline void *take(struct cursor *c, __u32 len)
{
	void *pos = c->pos;

	if (pos + len > c->end)
		return NULL;
	c->pos = pos + len;
	return pos;
}

static __always_inline int leave(enum counter why, int verdict)
{
	__u64 *n = bpf_map_lookup_elem(&counters, &why);

	if (n)
		(*n)++;
	return verdict;
}

static __always_inline void set_ipv4(struct addr *a, __be32 v4)
{
	a->word[0] = 0;
	a->word[1] = 0;
	a->word[2] = bpf_htonl(0xffff);
	a->word[3] = v4;
}

static __always_inline int same(const struct addr *a, const struct addr *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] &&
	       a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

/* The parsers return COUNTERS if all is well, else the reason to pass. */

static __always_inline enum counter parse_ipv4(struct cursor *c, struct packet *p)
{
	struct ipv4_hdr *ip = take(c, sizeof(*ip));
	__u32 hdr_len;
	__u16 frag;

	if (!ip || ip->version_ihl >> 4 != 4)
		return PASSED_MALFORMED;
	hdr_len = (ip->version_ihl & 0xf) * 4;
	if (hdr_len < sizeof(*ip))
		return PASSED_MALFORMED;
	set_ipv4(&p->src, ip->src);
	set_ipv4(&p->dst, ip->dst);
	p->protocol = ip->protocol;
	frag = bpf_ntohs(ip->frag);
	if (frag & 0x1fff)
		p->frag = LATER;
	else
		p->frag = frag & 0x2000 ? FIRST : WHOLE;
	if (!take(c, hdr_len - sizeof(*ip)))
		return PASSED_MALFORMED;
	return COUNTERS;
}

/* Moves past one extension header, of the kind that p->protocol names. */
static __always_inline enum counter parse_ext(struct cursor *c, struct packet *p)
{
	struct frag_hdr *f;
	struct ext_hdr *e;

	if (p->protocol == PROTO_FRAGMENT) {
		f = take(c, sizeof(*f));
		if (!f)
			return PASSED_MALFORMED;
		/*
		 * A fragment that is the whole packet (RFC 6946) counts as a
		 * first one: the stack does not read fragment headers.
		 */
		p->frag = f->frag & bpf_htons(0xfff8) ? LATER : FIRST;
		p->protocol = f->next;
		return COUNTERS;
	}
	e = take(c, sizeof(*e));
	if (!e)
		return PASSED_MALFORMED;
	p->protocol = e->next;
	if (!take(c, (__u32)e->len * 8 + 8 - sizeof(*e)))
		return PASSED_MALFORMED;
	return COUNTERS;
}

static __always_inline enum counter parse_ipv6(struct cursor *c, struct packet *p)
{
	struct ipv6_hdr *ip = take(c, sizeof(*ip));
	enum counter why;
	int i;

	if (!ip || bpf_ntohl(ip->version_class_flow) >> 28 != 6)
		return PASSED_MALFORMED;
	p->src = ip->src;
	p->dst = ip->dst;
	p->protocol = ip->next;
	p->frag = WHOLE;
#pragma unroll
	for (i = 0; i <= EXT_HEADERS_MAX; i++) {
		/* What follows in a later fragment is payload. */
		if (p->frag == LATER)
			return COUNTERS;
		switch (p->protocol) {
		case PROTO_TCP:
		case PROTO_ICMPV6:
			return COUNTERS;
		case PROTO_HOPOPTS:
		case PROTO_DSTOPTS:
		case PROTO_FRAGMENT:
			why = parse_ext(c, p);
			if (why != COUNTERS)
				return why;
			break;
		case 43:	/* routing */
		case 51:	/* authentication */
		case 135:	/* mobility */
		case 139:	/* host identity */
		case 140:	/* shim6 */
			return PASSED_HEADER;
		default:
			return PASSED_PROTOCOL;
		}
	}
	return PASSED_HEADER;
}

static __always_inline enum counter parse_ip(struct cursor *c, __u16 type,
					     struct packet *p)
{
	switch (type) {
	case ETHERTYPE_IPV4:
		return parse_ipv4(c, p);
	case ETHERTYPE_IPV6:
		return parse_ipv6(c, p);
	case ETHERTYPE_8021Q:
	case ETHERTYPE_8021AD:
		return PASSED_HEADER;
	default:
		return PASSED_PROTOCOL;
	}
}

/* Moves past Ethernet and at most one VLAN tag, and says what follows. */
static __always_inline enum counter parse_eth(struct cursor *c, __u16 *type)
{
	struct eth_hdr *eth = take(c, sizeof(*eth));
	struct vlan_hdr *vlan;

	if (!eth)
		return PASSED_MALFORMED;
	/* TCP has no groups; the kernel discards such a segment in silence. */
	if (eth->dst[0] & 1)
		return PASSED_GROUP;
	*type = bpf_ntohs(eth->type);
	if (*type == ETHERTYPE_8021Q || *type == ETHERTYPE_8021AD) {
		vlan = take(c, sizeof(*vlan));
		if (!vlan)
			return PASSED_MALFORMED;
		*type = bpf_ntohs(vlan->type);
	}
	return COUNTERS;
}

static __always_inline int claimed(const struct flow *f)
{
	struct listen l = {
		.addr = f->local,
		.port = f->local_port,
	};

	if (bpf_map_lookup_elem(&flows, f))
		return 1;
	if (bpf_map_lookup_elem(&listens, &l))
		return 1;
	if (f->local.word[0] == 0 && f->local.word[1] == 0 &&
	    f->local.word[2] == bpf_htonl(0xffff))
		set_ipv4(&l.addr, 0);
	else
		__builtin_memset(&l.addr, 0, sizeof(l.addr));
	if (!bpf_map_lookup_elem(&listens, &l))
		return 0;
	return bpf_map_lookup_elem(&addrs, &f->local) != NULL;
}

/*
 * What is claimed is never the kernel's, also where no socket serves the queue: the
 * kernel would answer with RST, and end a connection whose peer, or NIC, may yet
 * choose a queue that is served.
 */
static __always_inline int redirect(struct xdp_md *ctx, enum counter why)
{
	int verdict = bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);

	return leave(verdict == XDP_REDIRECT ? why : NO_SOCKET, verdict);
}

/*
 * A first fragment of a claimed flow is dropped, so that the kernel, which has no
 * such connection, can never put the segment together and answer it with RST.
 * Later fragments carry no ports. They are passed, and the kernel throws them
 * away, without an answer, when the first does not come.
 */
static __always_inline int handle_tcp(struct xdp_md *ctx, struct cursor *c,
				      const struct packet *p)
{
	struct tcp_start *tcp;
	struct flow f = {
		.local = p->dst,
		.remote = p->src,
	};

	if (p->frag == LATER)
		return leave(PASSED_FRAGMENT, XDP_PASS);
	tcp = take(c, sizeof(*tcp));
	if (!tcp)
		return leave(PASSED_MALFORMED, XDP_PASS);
	if (p->frag == WHOLE && !take(c, TCP_HEADER_MIN - sizeof(*tcp)))
		return leave(PASSED_MALFORMED, XDP_PASS);
	f.local_port = tcp->dst;
	f.remote_port = tcp->src;
	if (!claimed(&f))
		return leave(p->frag == WHOLE ? PASSED_UNCLAIMED : PASSED_FRAGMENT,
			     XDP_PASS);
	if (p->frag != WHOLE)
		return leave(DROPPED_FRAGMENT, XDP_DROP);
	return redirect(ctx, REDIRECTED);
}

/* The types that report an error, and quote the packet that caused it. */
static __always_inline int icmp_error(__u8 protocol, __u8 type)
{
	if (protocol == PROTO_ICMP)
		return type == 3 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

/* The quoted packet is one that we sent: its source is the local end. */
static __always_inline int handle_icmp(struct xdp_md *ctx, struct cursor *c,
				       __u16 type, const struct packet *p)
{
	struct packet quoted = {};
	struct icmp_hdr *icmp;
	struct tcp_start *tcp;
	enum counter why;
	struct flow f;

	if (p->frag != WHOLE)
		return leave(PASSED_FRAGMENT, XDP_PASS);
	icmp = take(c, sizeof(*icmp));
	if (!icmp)
		return leave(PASSED_MALFORMED, XDP_PASS);
	if (!icmp_error(p->protocol, icmp->type))
		return leave(PASSED_PROTOCOL, XDP_PASS);
	why = parse_ip(c, type, &quoted);
	if (why != COUNTERS)
		return leave(why, XDP_PASS);
	if (quoted.protocol != PROTO_TCP || quoted.frag == LATER)
		return leave(PASSED_PROTOCOL, XDP_PASS);
	tcp = take(c, sizeof(*tcp));
	if (!tcp)
		return leave(PASSED_MALFORMED, XDP_PASS);
	f.local = quoted.src;
	f.remote = quoted.dst;
	f.local_port = tcp->src;
	f.remote_port = tcp->dst;
	/* An error about another's packet is on its way to that other. */
	if (!same(&p->dst, &quoted.src) || !claimed(&f))
		return leave(PASSED_UNCLAIMED, XDP_PASS);
	return redirect(ctx, REDIRECTED_ICMP);
}

SEC("xdp.frags")
int millrace(struct xdp_md *ctx)
{
	struct cursor c = {
		.pos = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	struct packet p = {};
	enum counter why;
	__u16 type = 0;

	why = parse_eth(&c, &type);
	if (why != COUNTERS)
		return leave(why, XDP_PASS);
	why = parse_ip(&c, type, &p);
	if (why != COUNTERS)
		return leave(why, XDP_PASS);
	if (p.protocol == PROTO_TCP)
		return handle_tcp(ctx, &c, &p);
	if (p.protocol == (type == ETHERTYPE_IPV4 ? PROTO_ICMP : PROTO_ICMPV6))
		return handle_icmp(ctx, &c, type, &p);
	return leave(p.frag == LATER ? PASSED_FRAGMENT : PASSED_PROTOCOL, XDP_PASS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
