// The words of the guide, as customers read them. They stand here a second time on purpose: the guide of a vendor is
// followed word by word, so a page that words something anew breaks it.

export const words = {
  en: {
    accountIcon: 'Account menu',
    myAccount: 'My Account',
    myKeys: 'My API Keys',
    myUsage: 'My usage',
    contactUs: 'contact us',
    signOut: 'Sign out',
    dark: 'Dark',
    createNew: 'Create New API Key',
    name: 'Name',
    create: 'Create',
    done: 'Done',
    action: 'Action',
    edit: 'Edit',
    permission: 'Permission',
    save: 'Save',
    revoke: 'Revoke',
    revokeKey: 'Revoke key',
  },
  vi: {
    accountIcon: 'Trình đơn tài khoản',
    myAccount: 'Tài khoản của tôi',
    myKeys: 'API Key của tôi',
    myUsage: 'Mức sử dụng của tôi',
    contactUs: 'liên hệ với chúng tôi',
    signOut: 'Đăng xuất',
    dark: 'Tối',
  },
};
