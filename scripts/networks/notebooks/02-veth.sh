for n in 1 2; do
    ip netns add net$n
    ip -n net$n link set lo up
done
ip link add veth0 address 02:00:00:00:00:01 netns net1 type veth \
    peer name veth1 address 02:00:00:00:00:02 netns net2
for n in 1 2; do
    ip -n net$n address add 10.1.1.$n/24 dev veth$((n - 1))
    ip -n net$n link set veth$((n - 1)) up
done
