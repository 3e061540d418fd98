ip link add switch0 type bridge && ip link set switch0 up
for n in 1 2; do
    ip netns add node$n
    ip netns add node$n-pod1
    ip link add port$n type veth peer name eth0 netns node$n
    ip link set port$n master switch0 up
    ip -n node$n address add 192.168.1.$n/24 dev eth0
    ip -n node$n link set eth0 up
    ip -n node$n link add cni0 type bridge
    ip -n node$n address add 10.244.$n.1/24 dev cni0
    ip -n node$n link set cni0 up
    ip -n node$n link add veth1 type veth \
        peer name eth0 address 02:00:00:00:01:0$n netns node$n-pod1
    ip -n node$n link set veth1 master cni0 up
    ip -n node$n-pod1 address add 10.244.$n.2/24 dev eth0
    ip -n node$n-pod1 link set eth0 mtu 1450 up
    ip -n node$n-pod1 route add default via 10.244.$n.1
    ip netns exec node$n sysctl -qw net.ipv4.ip_forward=1
    ip -n node$n link add flannel.1 address 02:00:00:00:00:0$n \
        type vxlan id 1 dstport 8472 local 192.168.1.$n dev eth0 nolearning
    ip -n node$n address add 10.244.$n.0/32 dev flannel.1
    ip -n node$n link set flannel.1 up
    far=$((3 - n))
    ip -n node$n route add 10.244.$far.0/24 via 10.244.$far.0 dev flannel.1 onlink
    ip -n node$n neighbour add 10.244.$far.0 lladdr 02:00:00:00:00:0$far dev flannel.1 nud permanent
    bridge -n node$n fdb add 02:00:00:00:00:0$far dev flannel.1 dst 192.168.1.$far
done
