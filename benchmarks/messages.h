/* Messages to the kernel's tables, packed into one buffer and sent together. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum { BRIDGE = 10, MESSAGES = 128, ROOM = 1 << 16 };

/* A namespace: a file that names it, and a socket that was opened in it. */
typedef struct { int file, socket; } Place;

static char buffer[ROOM];
static size_t used;
static int messages;
static struct nlmsghdr *last;

static void *room(size_t size)
{
	void *place = memset(buffer + used, 0, NLMSG_ALIGN(size));
	used += NLMSG_ALIGN(size);
	return place;
}

static struct rtattr *put(int kind, const void *value, size_t size)
{
	struct rtattr *attribute = room(RTA_LENGTH(size));
	*attribute = (struct rtattr){ RTA_LENGTH(size), kind };
	if (value)
		memcpy(RTA_DATA(attribute), value, size);
	last->nlmsg_len = buffer + used - (char *)last;
	return attribute;
}

static void put_number(int kind, uint32_t value) { put(kind, &value, sizeof value); }
static void put_text(int kind, const char *text) { put(kind, text, strlen(text) + 1); }
static void close_nest(struct rtattr *nest) { nest->rta_len = buffer + used - (char *)nest; }

/* Send what is in the buffer, and read the answer: the last message asks for one, a refusal always
 * sends one. */
static void commit(Place place)
{
	static char answer[ROOM];
	last->nlmsg_flags |= NLM_F_ACK;
	if (send(place.socket, buffer, used, 0) < 0 || recv(place.socket, answer, ROOM, 0) < 0)
		err(1, "netlink");
	struct nlmsgerr *said = NLMSG_DATA(answer);
	if (said->error) {
		errno = -said->error;
		err(1, "message of type %d", said->msg.nlmsg_type);
	}
	used = messages = 0;
}

static void begin(Place place, int type, const void *body, size_t size)
{
	if (messages++ == MESSAGES || used > ROOM - 1024) {
		commit(place);
		messages = 1;
	}
	int flags = type == RTM_SETLINK || type == RTM_DELLINK ? 0 : NLM_F_CREATE | NLM_F_EXCL;
	last = room(sizeof *last);
	last->nlmsg_type = type;
	last->nlmsg_flags = NLM_F_REQUEST | flags;
	memcpy(room(size), body, size);
	last->nlmsg_len = buffer + used - (char *)last;
}

static void link_message(Place place, int type, int index, bool up)
{
	struct ifinfomsg body = { .ifi_index = index };
	if (up)
		body.ifi_flags = body.ifi_change = IFF_UP;
	begin(place, type, &body, sizeof body);
}

static void set_up(Place place, int index) { link_message(place, RTM_SETLINK, index, true); }

static void add_bridge(Place place, const char *name)
{
	link_message(place, RTM_NEWLINK, BRIDGE, true);
	put_text(IFLA_IFNAME, name);
	struct rtattr *info = put(IFLA_LINKINFO, NULL, 0);
	put_text(IFLA_INFO_KIND, "bridge");
	close_nest(info);
}

/* The near end comes up at once; the far end, which lies elsewhere, cannot. */
static void add_veth(Place near, const char *name, int index, int master,
		     Place far, const char *far_name, int far_index)
{
	struct ifinfomsg peer = { .ifi_index = far_index };
	link_message(near, RTM_NEWLINK, index, true);
	put_text(IFLA_IFNAME, name);
	if (master)
		put_number(IFLA_MASTER, master);
	struct rtattr *info = put(IFLA_LINKINFO, NULL, 0);
	put_text(IFLA_INFO_KIND, "veth");
	struct rtattr *data = put(IFLA_INFO_DATA, NULL, 0);
	struct rtattr *other = put(VETH_INFO_PEER, &peer, sizeof peer);
	put_text(IFLA_IFNAME, far_name);
	put_number(IFLA_NET_NS_FD, far.file);
	close_nest(other);
	close_nest(data);
	close_nest(info);
}

static void add_address(Place place, int index, uint32_t address, int length)
{
	struct ifaddrmsg body = { AF_INET, length, .ifa_index = index };
	begin(place, RTM_NEWADDR, &body, sizeof body);
	put_number(IFA_LOCAL, htonl(address));
	put_number(IFA_ADDRESS, htonl(address));
}

static void add_default(Place place, uint32_t via)
{
	struct rtmsg body = { .rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN,
			      .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST };
	begin(place, RTM_NEWROUTE, &body, sizeof body);
	put_number(RTA_GATEWAY, htonl(via));
}
